import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Tracker } from '../tracker/tracker.js';
import type { ConfChangeSingle, ConfState } from '../types.js';
import { changeSimply, enterJoint, leaveJoint, type Membership } from './changer.js';
import { checkMembership } from './membership-check.js';
import { emptyMembership, restoreMembership } from './restore.js';

const tracker = new Tracker(8, 0);
const fresh = (id: string, isLearner: boolean) => tracker.newProgress(id, 7, isLearner);

/** `v1 l2 w3 r4` as changes. */
function changes(text: string): ConfChangeSingle[] {
  const types = { v: 'add-voter', l: 'add-learner', w: 'add-witness', r: 'remove', u: 'update' } as const;
  return text
    .split(' ')
    .filter((token) => token !== '')
    .map((token) => ({ type: types[token[0] as 'v'], nodeId: token.slice(1) }));
}

function membershipOf(text: string): Membership {
  return changes(text).reduce((from, change) => changeSimply(from, [change], fresh), emptyMembership());
}

function confOf({ config }: Membership): ConfState {
  return {
    voters: config.voters.incoming.ids,
    votersOutgoing: config.voters.outgoing.ids,
    learners: [...config.learners].sort(),
    learnersNext: [...config.learnersNext].sort(),
    witnesses: [...config.witnesses].sort(),
    autoLeave: config.autoLeave,
  };
}

/** What a step does, or the text of its refusal. */
function outcome(step: () => Membership): Membership | string {
  try {
    return step();
  } catch (error) {
    expect(error).toMatchObject({ code: 'conf-change-invalid' });
    return (error as Error).message;
  }
}

describe('a simple change', () => {
  it('leaves the membership that it starts from as it was', () => {
    const before = membershipOf('v1 v2 v3');
    const two = before.progress.get('2');
    changeSimply(before, changes('l2'), fresh);
    expect(confOf(before).voters).toEqual(['1', '2', '3']);
    expect(two?.isLearner).toBe(false);
  });

  it('keeps what is known of the log of a member that is demoted or promoted', () => {
    const before = membershipOf('v1 v2 v3');
    before.progress.get('2')?.maybeUpdate(5);
    const demoted = changeSimply(before, changes('l2'), fresh);
    expect(demoted.progress.get('2')).toMatchObject({ match: 5, isLearner: true });
    const promoted = changeSimply(demoted, changes('v2'), fresh);
    expect(promoted.progress.get('2')).toMatchObject({ match: 5, isLearner: false });
    // It must be a whole one, with its moves.
    promoted.progress.get('2')?.becomeReplicate();
    expect(promoted.progress.get('2')).toMatchObject({ state: 'replicate', next: 6 });
  });

  it('knows nothing of a member that was removed and is added again', () => {
    const before = membershipOf('v1 v2 v3');
    before.progress.get('2')?.maybeUpdate(5);
    const again = changeSimply(changeSimply(before, changes('r2'), fresh), changes('v2'), fresh);
    expect(again.progress.get('2')).toMatchObject({ match: 0, next: 7, recentActive: true });
  });
});

describe('witnesses', () => {
  it('vote, and are marked', () => {
    expect(confOf(membershipOf('v1 v2 w3'))).toMatchObject({ voters: ['1', '2', '3'], witnesses: ['3'] });
  });

  it('are witnesses no more once they are removed', () => {
    expect(confOf(membershipOf('v1 v2 w3 r3 v3'))).toMatchObject({
      voters: ['1', '2', '3'],
      witnesses: [],
    });
  });

  it.each([
    ['w3', 'turned into a witness', '3 holds data and can’t become a witness'],
    ['r3 w3', 'removed and added as a witness at once', '3 holds data and can’t become a witness'],
  ])('%s: a member with data is not %s', (text, _what, message) => {
    expect(outcome(() => changeSimply(membershipOf('v1 v2 v3'), changes(text), fresh))).toContain(
      message.replace('’', "'"),
    );
  });

  it.each(['v3', 'l3', 'r3 v3', 'r3 l3'])('%s: a witness is not made another kind of member', (text) => {
    expect(outcome(() => changeSimply(membershipOf('v1 v2 w3'), changes(text), fresh))).toContain(
      "3 is a witness and can't become",
    );
  });

  it('stay witnesses in a joint membership until its outgoing half is left', () => {
    const joint = enterJoint(membershipOf('v1 v2 w3'), false, changes('r3 v4'), fresh);
    expect(confOf(joint)).toMatchObject({ votersOutgoing: ['1', '2', '3'], witnesses: ['3'] });
    expect(outcome(() => enterJoint(membershipOf('v1 v2 w3'), false, changes('l3'), fresh))).toContain(
      "3 is a witness and can't become a learner",
    );
    expect(confOf(leaveJoint(joint, fresh))).toMatchObject({ voters: ['1', '2', '4'], witnesses: [] });
  });

  it.each(['v1 w2 w3', 'w1'])('%s: are refused where they alone would be a majority', (text) => {
    expect(outcome(() => membershipOf(text))).toBe('the voters that hold data must be a majority');
  });
});

describe('a membership that was stored', () => {
  it.each([
    ['a learner that votes', { learners: ['1'] }, 'is in Learners and Voters'],
    ['a waiting learner outside a joint membership', { learnersNext: ['2'] }, 'more than one voter'],
    ['a witness that does not vote', { witnesses: ['9'] }, ''],
  ])('with %s is not taken on as it stands', (_what, wrong, _why) => {
    const conf = { ...confOf(membershipOf('v1 v2 v3')), ...wrong };
    const restored = outcome(() => restoreMembership(conf, fresh));
    expect(typeof restored === 'string' || JSON.stringify(confOf(restored)) !== JSON.stringify(conf)).toBe(
      true,
    );
  });

  it('is refused when it contradicts itself', () => {
    const { config, progress } = membershipOf('v1 v2 v3');
    const checked = (wrong: Partial<Membership['config']>): Membership | string =>
      outcome(() => checkMembership({ config: { ...config, ...wrong }, progress }));
    expect(checked({ learners: new Set(['1']) })).toBe('1 is in Learners and Voters[0]');
    expect(checked({ learners: new Set(['9']) })).toBe('no progress for 9');
    expect(checked({ learnersNext: new Set(['1']) })).toBe('1 is in LearnersNext, but not Voters[1]');
    expect(checked({ autoLeave: true })).toBe('AutoLeave must be false when not joint');
    expect(checked({ witnesses: new Set(['9']) })).toBe('9 is a witness, but not a voter');
  });
});

const someChanges = fc
  .array(fc.tuple(fc.constantFrom('v', 'l', 'w', 'r', 'u'), fc.constantFrom('1', '2', '3', '4', '5', '6')), {
    maxLength: 4,
  })
  .map((pairs) => changes(pairs.map(([kind, id]) => kind + id).join(' ')));
const someStep = fc.oneof(
  fc.record({ kind: fc.constant('simple' as const), changes: someChanges }),
  fc.record({ kind: fc.constant('enter' as const), changes: someChanges, autoLeave: fc.boolean() }),
  fc.record({ kind: fc.constant('leave' as const) }),
);
type Step = typeof someStep extends fc.Arbitrary<infer S> ? S : never;

function take(from: Membership, step: Step): Membership | string {
  return outcome(() => {
    if (step.kind === 'simple') return changeSimply(from, step.changes, fresh);
    if (step.kind === 'enter') return enterJoint(from, step.autoLeave, step.changes, fresh);
    return leaveJoint(from, fresh);
  });
}

/** Every set of `ids` that is a majority of them. */
function majorities(ids: readonly string[]): readonly (readonly string[])[] {
  const sets = Array.from({ length: 2 ** ids.length }, (_, bits) => ids.filter((_id, i) => bits & (2 ** i)));
  return sets.filter((set) => set.length > ids.length / 2);
}

/** The sets that can decide: with a majority of each half. */
function quorums(conf: ConfState): readonly ReadonlySet<string>[] {
  if (conf.votersOutgoing.length === 0) return majorities(conf.voters).map((set) => new Set(set));
  return majorities(conf.voters).flatMap((a) =>
    majorities(conf.votersOutgoing).map((b) => new Set([...a, ...b])),
  );
}

describe('any sequence of changes', () => {
  const start = membershipOf('v1 v2 v3');

  it('keeps the membership sound, and has a common node in any two quorums before and after a step', () => {
    fc.assert(
      fc.property(fc.array(someStep, { maxLength: 12 }), (steps) => {
        let now = start;
        for (const step of steps) {
          const next = take(now, step);
          if (typeof next === 'string') continue;
          checkMembership(next);
          const conf = confOf(next);
          const members = new Set([...conf.voters, ...conf.votersOutgoing, ...conf.learners]);
          expect(new Set(next.progress.keys())).toEqual(members);
          for (const [id, progress] of next.progress) {
            expect(progress.isLearner).toBe(conf.learners.includes(id));
          }
          const before = quorums(confOf(now));
          for (const after of quorums(conf)) {
            expect(before.every((quorum) => [...quorum].some((id) => after.has(id)))).toBe(true);
            // Whatever is decided, somebody who has the data took part.
            expect([...after].some((id) => !conf.witnesses.includes(id))).toBe(true);
          }
          now = next;
        }
      }),
    );
  });

  it('comes to the same through a joint membership as at once', () => {
    const strange = enterJoint(start, false, changes('w3 r3'), fresh);
    expect(confOf(leaveJoint(strange, fresh))).toMatchObject({ voters: ['1', '2'], witnesses: [] });
    fc.assert(
      fc.property(fc.array(someStep, { maxLength: 6 }), someChanges, (steps, last) => {
        let now = start;
        for (const step of steps) {
          const next = take(now, step);
          if (typeof next !== 'string') now = next;
        }
        const atOnce = take(now, { kind: 'simple', changes: last });
        if (typeof atOnce === 'string') return;
        const joint = enterJoint(now, false, last, fresh);
        expect(confOf(leaveJoint(joint, fresh))).toEqual(confOf(atOnce));
      }),
    );
  });

  it('leads to memberships that can be stored and brought back', () => {
    fc.assert(
      fc.property(fc.array(someStep, { maxLength: 12 }), (steps) => {
        let now = start;
        for (const step of steps) {
          const next = take(now, step);
          if (typeof next === 'string') continue;
          now = next;
          expect(confOf(restoreMembership(confOf(now), fresh))).toEqual(confOf(now));
        }
      }),
    );
  });
});
