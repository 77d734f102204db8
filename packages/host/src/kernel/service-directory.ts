// Services that cross plugins, on tsyringe containers: the host's own in the root, each plugin's in a child of it.
// Only finished values are registered, so no cycle of tokens can reach the container, and containers are dropped and
// never disposed of: undoing is the work of the plugin's context, which does it in order and within bounds.

import 'reflect-metadata';
import { container as globalContainer } from 'tsyringe';
import type { DependencyContainer } from 'tsyringe';
import type { ServiceToken } from '@datawarehouse/sdk';
import { contextErrors } from '../errors.js';
import type { PluginScope } from './attribution.js';
import { createServiceProxy } from './service-proxy.js';

interface Provided {
  readonly provider: string;
  readonly container: DependencyContainer;
  readonly revoke: () => void;
}

/** The services of one plugin. */
export interface PluginServices {
  /** Ids of the services it provides now. */
  readonly provided: readonly string[];
  /** @throws DwError `service-taken`, `service-invalid`. */
  provide(id: string, service: unknown): void;
  /** Takes all of them back; those who hold one get `service-gone` from it. */
  revokeAll(): void;
}

/** Who provides which service now. Its size is bounded by what manifests declare. */
export class ServiceDirectory {
  private readonly root = globalContainer.createChildContainer();
  private readonly provided = new Map<string, Provided>();

  /** Services that plugins provide now. */
  get size(): number {
    return this.provided.size;
  }

  /** The service, or undefined when nobody provides it now. */
  tryGet<T>(token: ServiceToken<T>): T | undefined {
    const container = this.provided.get(token.id)?.container ?? this.root;
    return container.isRegistered(token.id) ? container.resolve<T>(token.id) : undefined;
  }

  /** Registers a service of the host itself, which every plugin may be given. */
  provideAsHost<T extends object>(token: ServiceToken<T>, service: T): void {
    this.root.registerInstance<T>(token.id, service);
  }

  /** Whether the host itself provides a service of this id. */
  isHostService(id: string): boolean {
    return this.root.isRegistered(id);
  }

  /** Where `scope`'s plugin provides its services, for one life of it. */
  forPlugin(scope: PluginScope): PluginServices {
    const { pluginId } = scope;
    const container = this.root.createChildContainer();
    const own = new Set<string>();
    return {
      get provided() {
        return [...own];
      },
      provide: (id, service) => {
        const other = this.provided.get(id)?.provider ?? (this.isHostService(id) ? 'host' : undefined);
        if (other !== undefined) throw contextErrors.serviceTaken(pluginId, id, other);
        if ((typeof service !== 'object' && typeof service !== 'function') || service === null) {
          throw contextErrors.serviceInvalid(pluginId, id);
        }
        const { proxy, revoke } = createServiceProxy(service, scope, () =>
          contextErrors.serviceGone(pluginId, id),
        );
        container.register(id, { useValue: proxy });
        this.provided.set(id, { provider: pluginId, container, revoke });
        own.add(id);
      },
      revokeAll: () => {
        for (const id of own) {
          this.provided.get(id)?.revoke();
          this.provided.delete(id);
        }
        own.clear();
        container.reset();
      },
    };
  }
}
