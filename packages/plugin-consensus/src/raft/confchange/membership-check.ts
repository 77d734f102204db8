// What every membership must satisfy, whether it was loaded, received or just made. A membership that does not is
// refused before anything counts votes in it.

import { confChangeInvalid } from '../errors.js';
import type { MajorityConfig } from '../quorum/majority.js';
import type { ProgressMap, TrackerConfig } from '../tracker/tracker.js';
import type { NodeId } from '../types.js';

interface Checked {
  readonly config: TrackerConfig;
  readonly progress: ProgressMap;
}

/**
 * Returns the membership if it is sound. The empty one is: every group begins with it.
 * @throws DwError `conf-change-invalid`.
 */
export function checkMembership<M extends Checked>(membership: M): M {
  const fault =
    faultOfProgress(membership) ??
    faultOfLearnersNext(membership) ??
    faultOfLearners(membership) ??
    faultOfWitnesses(membership) ??
    faultOutsideJoint(membership);
  if (fault !== undefined) throw confChangeInvalid(fault);
  return membership;
}

/** The first fault that any of these ids has. */
function first(ids: Iterable<NodeId>, faultOf: (id: NodeId) => string | undefined): string | undefined {
  for (const id of ids) {
    const fault = faultOf(id);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function faultOfProgress({ config, progress }: Checked): string | undefined {
  const members = [...config.voters.ids, ...config.learners, ...config.learnersNext];
  return first(members, (id) => (progress.has(id) ? undefined : `no progress for ${id}`));
}

/** A learner waits only because it still votes in the outgoing half. */
function faultOfLearnersNext({ config, progress }: Checked): string | undefined {
  return first(config.learnersNext, (id) => {
    if (!config.voters.outgoing.has(id)) return `${id} is in LearnersNext, but not Voters[1]`;
    if (progress.get(id)?.isLearner === true)
      return `${id} is in LearnersNext, but is already marked as learner`;
    return undefined;
  });
}

function faultOfLearners({ config, progress }: Checked): string | undefined {
  return first(config.learners, (id) => {
    if (config.voters.outgoing.has(id)) return `${id} is in Learners and Voters[1]`;
    if (config.voters.incoming.has(id)) return `${id} is in Learners and Voters[0]`;
    if (progress.get(id)?.isLearner !== true) return `${id} is in Learners, but is not marked as learner`;
    return undefined;
  });
}

function faultOfWitnesses({ config }: Checked): string | undefined {
  const { voters, witnesses } = config;
  const stray = first(witnesses, (id) => {
    if (!voters.has(id)) return `${id} is a witness, but not a voter`;
    if (config.learnersNext.has(id)) return `${id} is a witness and can't become a learner`;
    return undefined;
  });
  if (stray !== undefined) return stray;
  // Those that can lead must be able to elect one of them without a witness: it may have seen more than all of them.
  const tooMany = (half: MajorityConfig): boolean =>
    half.size > 0 && half.ids.filter((id) => witnesses.has(id)).length >= half.size / 2;
  return tooMany(voters.incoming) || tooMany(voters.outgoing)
    ? 'the voters that hold data must be a majority'
    : undefined;
}

function faultOutsideJoint({ config }: Checked): string | undefined {
  if (config.voters.isJoint) return undefined;
  if (config.learnersNext.size > 0) return 'LearnersNext must be empty when not joint';
  return config.autoLeave ? 'AutoLeave must be false when not joint' : undefined;
}
