// What a consumer holds of another plugin's service: a stand-in that enters the provider's scope on each call, so
// that failures are blamed on the right plugin, and that can be revoked, so that a stopped plugin is not kept alive
// or called by those who still hold its services.

import { AsyncLocalStorage } from 'node:async_hooks';
import type { PluginScope } from './attribution.js';
import { blameFor, currentScope, runInScope } from './attribution.js';

type AnyFunction = (this: unknown, ...args: unknown[]) => unknown;

/** A service as its consumers see it. */
export interface RevocableService {
  readonly proxy: object;
  /** From now on every use throws, and nothing of the service is held. */
  readonly revoke: () => void;
}

/**
 * Functions that one plugin handed to another, as the other calls them: in the scope of the one that made them. The
 * same function gives the same wrapper, so that it can be taken off again by identity.
 */
const callbacks = new WeakMap<AnyFunction, AnyFunction>();

function enterOwner(fn: AnyFunction): AnyFunction {
  const known = callbacks.get(fn);
  if (known !== undefined) return known;
  const maker = currentScope();
  const bound = AsyncLocalStorage.bind<AnyFunction>(fn);
  const wrapped: AnyFunction = function wrapped(...args) {
    try {
      if (maker === undefined) return Reflect.apply(bound, this, args);
      // Where scopes are not carried along, `bind` has none to give back.
      return runInScope(maker, () => Reflect.apply(bound, this, args));
    } catch (error) {
      // It goes on into code of another plugin, which is not to be blamed if it does not catch it either.
      if (maker !== undefined) blameFor(error, maker);
      throw error;
    }
  };
  // Some look at how many arguments a function takes before they make one: a signal, a `done`.
  Object.defineProperty(wrapped, 'length', { value: fn.length, configurable: true });
  callbacks.set(fn, wrapped);
  // A wrapper that is handed on is not wrapped again.
  callbacks.set(wrapped, wrapped);
  return wrapped;
}

function wrapCallbacks(args: unknown[]): unknown[] {
  for (let i = 0; i < args.length; i++) {
    if (typeof args[i] === 'function') args[i] = enterOwner(args[i] as AnyFunction);
  }
  return args;
}

/** Makes a stand-in for `service`, which `scope`'s plugin provides. `gone` makes the error after revocation. */
export function createServiceProxy(service: object, scope: PluginScope, gone: () => Error): RevocableService {
  let target: object | undefined = service;
  let methods: Map<PropertyKey, { readonly raw: unknown; readonly bound: AnyFunction }> | undefined =
    new Map();
  const live = (): object => {
    if (target === undefined) throw gone();
    return target;
  };
  const call = (fn: AnyFunction, self: unknown, args: unknown[]): unknown => {
    if (currentScope() === scope) return Reflect.apply(fn, self, args);
    wrapCallbacks(args);
    return runInScope(scope, () => Reflect.apply(fn, self, args));
  };
  const method = (name: PropertyKey, raw: AnyFunction): AnyFunction => {
    const known = methods?.get(name);
    if (known !== undefined && known.raw === raw) return known.bound;
    // Looked up again at each call: the bound function may be kept by a consumer, the service must not be.
    const bound = (...args: unknown[]): unknown => {
      const now = live();
      return call(Reflect.get(now, name) as AnyFunction, now, args);
    };
    methods?.set(name, { raw, bound });
    return bound;
  };
  // The shadow is what the engine checks invariants against: a frozen service must not pin the answers of `get`.
  const shadow: object = typeof service === 'function' ? function shadow(): void {} : {};
  const proxy = new Proxy(shadow, {
    get: (_shadow, name) => {
      const now = live();
      const value: unknown = Reflect.get(now, name);
      return typeof value === 'function' && name !== 'constructor'
        ? method(name, value as AnyFunction)
        : value;
    },
    set: (_shadow, name, value) => Reflect.set(live(), name, value),
    has: (_shadow, name) => Reflect.has(live(), name),
    getPrototypeOf: () => Reflect.getPrototypeOf(live()),
    ownKeys: () => Reflect.ownKeys(live()),
    getOwnPropertyDescriptor: (_shadow, name) => {
      const descriptor = Reflect.getOwnPropertyDescriptor(live(), name);
      return descriptor === undefined ? undefined : { ...descriptor, configurable: true };
    },
    defineProperty: () => false,
    deleteProperty: () => false,
    apply: (_shadow, self, args) => call(live() as AnyFunction, self, args as unknown[]),
  });
  return {
    proxy,
    revoke: () => {
      target = undefined;
      methods = undefined;
    },
  };
}
