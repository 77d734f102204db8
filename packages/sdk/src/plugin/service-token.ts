// Names a service that crosses plugins, with its type, so that neither side needs decorators or the other's code.

/** Names a service of type `T`. */
export interface ServiceToken<T> {
  /** What manifests put in `provides` and `requires`. */
  readonly id: string;
  /** Carries the type only; never present at run time. */
  readonly __type?: T;
}

/** Names a service. Two tokens with the same id name the same service. */
export function createToken<T>(id: string): ServiceToken<T> {
  return Object.freeze({ id });
}
