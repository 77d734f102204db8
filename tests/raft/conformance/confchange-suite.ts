// The commands of etcd's confchange suite, over our changer. A file starts without members; every command, refused or
// not, moves the log on by one entry, so that the age of a member's progress shows.

import { changeSimply, enterJoint, leaveJoint, type Membership } from '#consensus/raft/confchange/changer.js';
import { emptyMembership } from '#consensus/raft/confchange/restore.js';
import { Tracker } from '#consensus/raft/tracker/tracker.js';
import type { ConfChangeSingle } from '#consensus/raft/types.js';
import { parseChanges } from './interaction/changes.js';
import type { Command, Directive } from './directives.js';
import { describeConfig, describeProgress } from './interaction/describe-members.js';
import { textOfError, UsageError, type Suite, type SuiteRun } from './suite.js';

class ConfChangeRun implements SuiteRun {
  readonly #tracker = new Tracker(10, 0);
  #membership: Membership = emptyMembership();
  #lastIndex = 0;

  run(directive: Directive): string {
    try {
      this.#membership = this.#change(directive);
      return `${describeConfig(this.#membership.config)}\n${this.#progress()}`;
    } catch (error) {
      if (error instanceof UsageError) throw error;
      return textOfError(error);
    } finally {
      this.#lastIndex++;
    }
  }

  #change(directive: Directive): Membership {
    const changes = parseChanges(directive.input.join(' ')).map(withoutZero);
    const from = this.#membership;
    const fresh = (id: string, isLearner: boolean): ReturnType<Tracker['newProgress']> =>
      this.#tracker.newProgress(id, this.#lastIndex, isLearner);
    if (directive.command === 'simple') {
      checkOptions(directive, []);
      return changeSimply(from, changes, fresh);
    }
    if (directive.command === 'enter-joint') {
      checkOptions(directive, ['autoleave']);
      const autoLeave = directive.args[0]?.values[0] === 'true';
      return enterJoint(from, autoLeave, changes, fresh);
    }
    if (directive.command !== 'leave-joint') throw new UsageError(`unknown command: ${directive.command}`);
    checkOptions(directive, []);
    if (changes.length > 0) throw new Error('this command takes no input');
    return leaveJoint(from, fresh);
  }

  #progress(): string {
    const members = [...this.#membership.progress.values()];
    return members
      .sort((a, b) => Number(a.id) - Number(b.id))
      .map((member) =>
        describeProgress({
          id: member.id,
          state: member.state,
          match: member.match,
          next: member.next,
          isLearner: member.isLearner,
          pendingSnapshot: member.pendingSnapshot,
          recentActive: member.recentActive,
          inflight: member.inflights.count,
          inflightFull: member.inflights.full,
          isPaused: member.isPaused,
        }),
      )
      .join('\n');
  }
}

/** Upstream's node 0 is no node, like our empty id. */
function withoutZero(change: ConfChangeSingle): ConfChangeSingle {
  return change.nodeId === '0' ? { ...change, nodeId: '' } : change;
}

function checkOptions(command: Command, known: readonly string[]): void {
  const unknown = command.args.find((arg) => !known.includes(arg.key));
  if (unknown !== undefined) throw new UsageError(`unknown option: ${unknown.key}`);
}

/** `simple`, `enter-joint` and `leave-joint`. */
export const confChangeSuite: Suite = {
  name: 'confchange',
  commands: new Set(['simple', 'enter-joint', 'leave-joint']),
  start: () => new ConfChangeRun(),
};
