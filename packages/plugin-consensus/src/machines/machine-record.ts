// Notes on this node's disk which groups of state machines it has made here. A replica that was removed, or whose files
// were damaged and dropped, must not be made a second time as if it had never voted.

import type { IPersistentBackingStore } from '@datawarehouse/sdk';
import { errorMessage } from '@datawarehouse/sdk';
import { malformed } from '../errors.js';

/** `making`: it may or may not have come to be. `made`: it was there, and may have voted. */
export type MachineGroupState = 'making' | 'made';

/** The groups that were made on this node. */
export class MachineRecord {
  private constructor(
    private readonly store: IPersistentBackingStore,
    private readonly path: string,
    private readonly groups: Map<string, MachineGroupState>,
  ) {}

  /** @throws DwError `frame-malformed` when what is there cannot be read, and of the store. */
  static async open(store: IPersistentBackingStore, path: string): Promise<MachineRecord> {
    const bytes = await store.readAsync(path);
    return new MachineRecord(store, path, bytes === null ? new Map() : decode(bytes, path));
  }

  /** What is known of a group; undefined when it was never made here. */
  get(groupId: string): MachineGroupState | undefined {
    return this.groups.get(groupId);
  }

  /** Notes it durably. @throws DwError of the store, and nothing is noted. */
  async note(groupId: string, state: MachineGroupState): Promise<void> {
    if (this.groups.get(groupId) === state) return;
    const next = new Map(this.groups).set(groupId, state);
    await this.store.writeAsync(this.path, Buffer.from(JSON.stringify({ groups: Object.fromEntries(next) })));
    this.groups.set(groupId, state);
  }
}

function decode(bytes: Uint8Array, path: string): Map<string, MachineGroupState> {
  const what = `the record of state machines at ${path}`;
  let groups: unknown;
  try {
    ({ groups } = JSON.parse(Buffer.from(bytes).toString()) as { groups?: unknown });
  } catch (error) {
    throw malformed(what, errorMessage(error));
  }
  if (typeof groups !== 'object' || groups === null) throw malformed(what, 'it names no groups');
  const known = new Map<string, MachineGroupState>();
  for (const [id, state] of Object.entries(groups)) {
    if (state !== 'making' && state !== 'made') throw malformed(what, `group ${id} is neither made nor not`);
    known.set(id, state);
  }
  return known;
}
