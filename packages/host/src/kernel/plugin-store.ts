// The part of the backing store that belongs to one plugin. Paths of others are refused before they reach the store.

import type {
  BatchOperation,
  IPersistentBackingStore,
  VersionedValue,
  WriteCondition,
} from '@datawarehouse/sdk';

/** How a {@link PluginStore} asks whether it may go on. */
export interface PluginStoreRules {
  /** What every path begins with, such as `dw://plugins/com.example.counter/`. */
  readonly root: string;
  /** @throws DwError `context-closed` once the plugin is stopped. */
  assertUsable(): void;
  /** Makes the error for a path outside of `root`. */
  refuse(path: string): Error;
}

/** A backing store that knows only the paths of one plugin. */
export class PluginStore implements IPersistentBackingStore {
  constructor(
    private readonly store: IPersistentBackingStore,
    private readonly rules: PluginStoreRules,
  ) {}

  async writeAsync(path: string, data: Uint8Array, condition?: WriteCondition): Promise<number> {
    this.check(path);
    return this.store.writeAsync(path, data, condition);
  }

  async readAsync(path: string): Promise<Uint8Array | null> {
    this.check(path);
    return this.store.readAsync(path);
  }

  async readVersionedAsync(path: string): Promise<VersionedValue | null> {
    this.check(path);
    return this.store.readVersionedAsync(path);
  }

  async deleteAsync(path: string, condition?: WriteCondition): Promise<boolean> {
    this.check(path);
    return this.store.deleteAsync(path, condition);
  }

  async listAsync(prefix: string): Promise<readonly string[]> {
    this.check(prefix);
    return this.store.listAsync(prefix);
  }

  async existsAsync(path: string): Promise<boolean> {
    this.check(path);
    return this.store.existsAsync(path);
  }

  async appendAsync(path: string, data: Uint8Array): Promise<number> {
    this.check(path);
    return this.store.appendAsync(path, data);
  }

  async batchAsync(operations: readonly BatchOperation[]): Promise<readonly number[]> {
    // Copied before it is checked: a getter must not show one path here and another to the store.
    const copy = operations.map((operation) => ({ ...operation }));
    for (const operation of copy) this.check(operation.path);
    return this.store.batchAsync(copy);
  }

  async barrierAsync(): Promise<void> {
    this.rules.assertUsable();
    return this.store.barrierAsync();
  }

  /** Does nothing: the store is the host's, which closes it when it stops. */
  async closeAsync(): Promise<void> {}

  private check(path: string): void {
    this.rules.assertUsable();
    if (typeof path !== 'string' || !path.startsWith(this.rules.root)) throw this.rules.refuse(path);
  }
}
