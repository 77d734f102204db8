// The groups as this node knows them: where each can be found, and which keys are whose. Replaced as a whole when the
// directory of the cluster tells of a change.

import type { DwError } from '@datawarehouse/sdk';
import { groupsUnknown } from '../errors.js';
import { isSystemGroup } from './directory/directory-types.js';
import { HashRing } from './hash-ring.js';
import type { GroupPlacement } from './placement.js';

/** Whether a group holds keys of the key-value store. */
function holdsKeys({ machine }: GroupPlacement): boolean {
  return machine === undefined || machine === 'key-value';
}

/** The groups of the cluster. */
export class GroupTable {
  private byId: ReadonlyMap<string, GroupPlacement> = new Map();
  private list: readonly GroupPlacement[] = [];
  private keyed: readonly string[] = [];
  /** Made when it is first asked: it takes a while, and a node may never be asked. */
  private ring: HashRing | undefined;
  private why: () => DwError = groupsUnknown;

  constructor(placements: readonly GroupPlacement[]) {
    this.replace(placements);
  }

  /** The table that was given, or one of groups that stay as they are. */
  static of(groups: GroupTable | readonly GroupPlacement[]): GroupTable {
    return groups instanceof GroupTable ? groups : new GroupTable(groups);
  }

  /** Knows no group any more; `why` makes the error that says so. */
  close(why: () => DwError): void {
    this.why = why;
    this.replace([]);
  }

  /** Takes other groups, or the same with other voters. */
  replace(placements: readonly GroupPlacement[]): void {
    this.list = placements;
    this.byId = new Map(placements.map((placement) => [placement.id, placement]));
    const keyed = placements.filter(holdsKeys).map(({ id }) => id);
    if (keyed.join() === this.keyed.join()) return;
    this.keyed = keyed;
    this.ring = undefined;
  }

  get(id: string): GroupPlacement | undefined {
    return this.byId.get(id);
  }

  /** Every group, in the order in which they were made. */
  all(): readonly GroupPlacement[] {
    return this.list;
  }

  /** The groups of users: all but those of the machinery. */
  users(): readonly GroupPlacement[] {
    return this.list.filter((placement) => !isSystemGroup(placement));
  }

  /** Ids of the groups that hold keys. */
  keyGroups(): readonly string[] {
    return this.keyed;
  }

  /**
   * The group that owns a key.
   * @throws DwError `groups-unknown` while a node that joins has not learned the groups; `node-retired`.
   */
  groupOf(key: string): string {
    if (this.keyed.length === 0) throw this.why();
    this.ring ??= new HashRing(this.keyed);
    return this.ring.groupOf(key);
  }
}
