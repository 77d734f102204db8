// The members of a group as of the last entry that this replica has applied. The core may know later ones (those of a
// snapshot that is still being loaded), but a snapshot of the state taken now must carry the members of now, or a
// replica that starts from it applies changes twice or never.

import { isDwError } from '@datawarehouse/sdk';
import { decodeConfChange } from '../raft/confchange/encoding.js';
import type { RaftCore } from '../raft/raft-core.js';
import type { ConfState, Entry, NodeId } from '../raft/types.js';

/** Members at a replica's applied index. */
export class GroupConf {
  private current: ConfState;

  /** @param conf The members at the index from which the replica starts. */
  constructor(conf: ConfState) {
    this.current = conf;
  }

  /** The members at the applied index. */
  get state(): ConfState {
    return this.current;
  }

  /** Applies a `conf-change` entry. @returns whether anything is different. */
  apply(core: RaftCore, entry: Entry): boolean {
    return this.become(core.applyConfChange(changeOf(entry), entry.index));
  }

  /** A change was applied, or a snapshot took the place of the state. @returns whether anything is different. */
  become(conf: ConfState): boolean {
    const changed = !sameConf(this.current, conf);
    this.current = conf;
    return changed;
  }
}

/** What an entry asks for; undefined when its bytes say nothing, on every replica alike. */
function changeOf(entry: Entry): ReturnType<typeof decodeConfChange> | undefined {
  try {
    return decodeConfChange(entry.data);
  } catch (error) {
    if (isDwError(error, 'conf-change-malformed')) return undefined;
    throw error;
  }
}

/** Every node that is a member in any way, sorted. */
export function membersOf(conf: ConfState): readonly NodeId[] {
  return [
    ...new Set([...conf.voters, ...conf.votersOutgoing, ...conf.learners, ...conf.learnersNext]),
  ].toSorted();
}

/** Whether a membership is between two others. */
export function isJoint(conf: ConfState): boolean {
  return conf.votersOutgoing.length > 0;
}

function sameConf(a: ConfState, b: ConfState): boolean {
  const same = (x: readonly string[], y: readonly string[]): boolean =>
    x.length === y.length && x.toSorted().join('\n') === y.toSorted().join('\n');
  return (
    same(a.voters, b.voters) &&
    same(a.votersOutgoing, b.votersOutgoing) &&
    same(a.learners, b.learners) &&
    same(a.learnersNext, b.learnersNext) &&
    same(a.witnesses, b.witnesses) &&
    a.autoLeave === b.autoLeave
  );
}
