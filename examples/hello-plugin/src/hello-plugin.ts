// A whole plugin in one file: it listens on a topic, keeps a count in the durable store, has one limit and one route.

import { PluginBase, SdkCompatibility } from '@datawarehouse/sdk';
import type { BusMessage, PluginContext } from '@datawarehouse/sdk';
import { GreetingLimits } from './greeting-limits.js';
import { Greet, Greeted } from './topics.js';

/** Counts greetings. */
@SdkCompatibility('1.0.0')
export class HelloPlugin extends PluginBase {
  readonly id = 'com.example.hello';
  readonly name = 'Hello';
  readonly version = '1.0.0';
  private count = 0;

  override async initializeAsync(context: PluginContext): Promise<void> {
    const path = context.storePath('count');
    const kept = await context.store.readAsync(path);
    if (kept !== null) this.count = Number(new TextDecoder().decode(kept));

    const limits = new GreetingLimits(() => this.count);
    await context.scaling.register(limits);

    context.bus.subscribe(Greet, async ({ payload }: BusMessage<{ name: string }>) => {
      if (payload.name.length > limits.maxNameLength) {
        context.log.warn(
          { length: payload.name.length, limit: limits.maxNameLength },
          'name too long, not greeted',
        );
        return;
      }
      const count = this.count + 1;
      await context.store.writeAsync(path, new TextEncoder().encode(String(count)));
      this.count = count;
      context.bus.publish(Greeted, {
        text: `${String(context.config['greeting'])}, ${payload.name}!`,
        count,
      });
    });

    context.routes.add({
      method: 'GET',
      path: '/v1/hello',
      summary: 'How often somebody was greeted',
      handler: () => ({ body: { count: this.count } }),
    });
  }
}
