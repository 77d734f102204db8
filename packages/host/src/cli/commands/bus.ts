// `dw bus`: publish, ask, listen.

import type { IncomingMessage } from 'node:http';
import type { CommonOptions } from '../api-client.js';
import { withClient } from '../common-options.js';
import { UsageError } from '../errors.js';
import { printJson, printLine } from '../output.js';
import { parseEvents } from '../server-sent-events.js';

function payloadOf(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '{}');
  } catch (thrown) {
    throw new UsageError(
      `the payload is not JSON: ${(thrown as Error).message}; text needs quotes: '"text"'`,
    );
  }
}

/** `dw bus publish TOPIC [JSON]`. Without JSON the payload is `{}`. */
export async function publish(
  topic: string,
  json: string | undefined,
  options: CommonOptions,
): Promise<void> {
  const payload = payloadOf(json);
  await withClient(options, async (client) => {
    const answer = await client.json('POST', `/v1/bus/${encodeURIComponent(topic)}`, { json: payload });
    return options.json === true ? printJson(answer) : printLine(`published on ${topic}`);
  });
}

/** `dw bus send TOPIC [JSON]`: prints the reply as JSON. */
export async function send(
  topic: string,
  json: string | undefined,
  options: CommonOptions & { readonly timeout: number },
): Promise<void> {
  const payload = payloadOf(json);
  await withClient(options, async (client) =>
    printJson(
      await client.json('POST', `/v1/bus/${encodeURIComponent(topic)}/send`, {
        json: payload,
        query: { timeoutMs: String(options.timeout) },
      }),
    ),
  );
}

async function print(
  response: IncomingMessage,
  options: { readonly json?: boolean; readonly count?: number },
): Promise<void> {
  let seen = 0;
  for await (const { event, data } of parseEvents(response as AsyncIterable<Buffer>)) {
    if (event === 'dw.dropped') {
      process.stderr.write(`dw: this listener is too slow; missed in all: ${data}\n`);
      continue;
    }
    if (options.json === true) await printLine(data);
    else await printLine(`${event} ${JSON.stringify((JSON.parse(data) as { payload: unknown }).payload)}`);
    seen += 1;
    if (options.count !== undefined && seen >= options.count) return;
  }
}

/** `dw bus listen TOPIC …`: one line a message, until Ctrl-C, the count, or the end of the host. */
export async function listen(
  topics: readonly string[],
  options: CommonOptions & { readonly count?: number },
): Promise<void> {
  await withClient(options, async (client) => {
    const response = await client.stream('/v1/bus', { query: { topics: topics.join(',') } });
    let stopped = false;
    const stop = (): void => {
      stopped = true;
      response.destroy();
    };
    process.once('SIGINT', stop);
    try {
      await print(response, options);
    } catch (thrown) {
      // Ctrl-C breaks the stream off, which is what was wanted.
      if (!stopped) throw thrown;
    } finally {
      process.off('SIGINT', stop);
      response.destroy();
    }
  });
}
