// The service that gives plugins and embedders their policies by name.

import type { ServiceToken } from '../plugin/service-token.js';
import { createToken } from '../plugin/service-token.js';
import type { ResilienceListener } from './event.js';
import type { IResiliencePolicy, ResilienceAction, ResilienceCallOptions } from './policy.js';

/** The policies of this node. Policies are data: an operator sets, changes and removes them while they are used. */
export interface IResilience {
  /**
   * The policy of this name. It stays the same object while its document is changed; after it was removed its calls are
   * refused with `policy-unknown`.
   * @throws DwError `policy-unknown` (404).
   */
  policy(name: string): IResiliencePolicy;
  /** The policies there are, by name. */
  policies(): readonly IResiliencePolicy[];
  /**
   * Runs `action` under the policy that has this name now.
   * @throws what {@link IResiliencePolicy.execute} throws; DwError `policy-unknown`.
   * @example
   * const reply = await resilience.execute('peer-rpc', (signal) => peer.call(request, { signal }), { key: peer.id });
   */
  execute<T>(
    policyName: string,
    action: ResilienceAction<T>,
    options?: AbortSignal | ResilienceCallOptions,
  ): Promise<T>;
  /**
   * A function like `fn` whose calls go through the policy that has this name at the time of each call.
   * `options` are those of every call; a function makes them from the arguments of each.
   * @example
   * const readUser = resilience.wrap(db.readUser, 'database', (id) => ({ key: shardOf(id) }));
   */
  wrap<Arguments extends readonly unknown[], T>(
    fn: (...args: Arguments) => PromiseLike<T> | T,
    policyName: string,
    options?: ResilienceCallOptions | ((...args: Arguments) => ResilienceCallOptions),
  ): (...args: Arguments) => Promise<T>;
  /** Calls `listener` with every event of all policies from now on. Dispose of what it returns to stop. */
  listen(listener: ResilienceListener): Disposable;
}

/** The resilience policies of this node. */
export const RESILIENCE: ServiceToken<IResilience> = createToken<IResilience>('dw.resilience');
