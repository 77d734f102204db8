// The store as a plugin under test gets it: only its own paths, as in the host.

import type {
  BatchOperation,
  IPersistentBackingStore,
  VersionedValue,
  WriteCondition,
} from '../persistence/index.js';
import { contextErrors } from './errors.js';

/** A backing store that knows only the paths of one plugin. */
export class TestStore implements IPersistentBackingStore {
  private readonly root: string;

  /** @param assertUsable throws once the plugin is stopped. */
  constructor(
    private readonly store: IPersistentBackingStore,
    private readonly pluginId: string,
    private readonly assertUsable: () => void,
  ) {
    this.root = `dw://plugins/${pluginId}/`;
  }

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
    for (const operation of operations) this.check(operation.path);
    return this.store.batchAsync(operations);
  }

  async barrierAsync(): Promise<void> {
    this.assertUsable();
    return this.store.barrierAsync();
  }

  /** Does nothing: the store is the test's. */
  async closeAsync(): Promise<void> {}

  private check(path: string): void {
    this.assertUsable();
    if (typeof path !== 'string' || !path.startsWith(this.root)) {
      throw contextErrors.storeNotPermitted(this.pluginId, path, this.root);
    }
  }
}
