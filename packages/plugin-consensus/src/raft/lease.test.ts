import { isDwError } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import { Lease } from './lease.js';
import { makeMessage } from './message.js';
import { Network, type Options } from './testing/network.test.kit.js';

const data = new Uint8Array([7]);
const lease = { promiseMs: 100, driftMargin: 0.1, maxPauseMs: 40, refuseVotesAfterStart: true };
const ids = ['a', 'b', 'c'];

/** Three nodes whose clocks a test moves. */
function group(options: Options = {}): Network {
  const network = new Network(ids, { checkQuorum: true, lease, ...options });
  for (const id of ids) network.core(id).setTime(0);
  return network;
}

function setTime(network: Network, now: number, ...who: string[]): void {
  for (const id of who.length === 0 ? ids : who) network.core(id).setTime(now);
}

/** A leader that was just answered, at time 10. */
function led(options: Options = {}): Network {
  const network = group(options);
  network.elect('a');
  setTime(network, 10);
  network.tick('a');
  return network;
}

/** Whether a lease read is answered without asking anybody. */
function answersAlone(network: Network): boolean {
  const sent = network.sent.length;
  const reads = network.reads('a').length;
  network.core('a').readIndex('x', 'lease');
  network.handle('a');
  return network.reads('a').length === reads + 1 && network.sent.length === sent;
}

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
  } catch (error) {
    return isDwError(error) ? error.code : 'another error';
  }
  return undefined;
}

describe('a lease', () => {
  it('lets a leader answer a read alone', () => {
    const network = led();
    expect(answersAlone(network)).toBe(true);
    expect(network.core('a').holdsLease).toBe(true);
    expect(network.core('a').status().leaseMs).toBe(90);
    expect(network.reads('a').at(-1)).toEqual({ index: 1, context: 'x' });
  });

  it('is not known by a clock that shows less than before, or far more', () => {
    const core = led().core('a');
    expect([10, 50].map((now) => core.leaseMsAt(now))).toEqual([90, 50]);
    expect([9, 51].map((now) => core.leaseMsAt(now))).toEqual([0, 0]);
  });

  it('is not what a safe read is answered by', () => {
    const network = led();
    network.core('a').readIndex('x');
    network.handle('a');
    expect(network.reads('a')).toEqual([]);
  });

  it('ends before the promises do that it rests on, by the margin', () => {
    const network = led();
    for (const now of [40, 70, 99]) setTime(network, now, 'a');
    expect(answersAlone(network)).toBe(true);
    setTime(network, 100, 'a');
    expect(answersAlone(network)).toBe(false);
    network.settle();
    expect(network.reads('a').at(-1)).toEqual({ index: 1, context: 'x' });
  });

  it('runs from when the heartbeats were sent, not from when they were answered', () => {
    const network = led();
    network.core('a').tick();
    network.handle('a');
    for (const now of [40, 70, 95]) setTime(network, now);
    network.settle();
    // Sent at 10, answered at 95.
    expect(network.core('a').status().leaseMs).toBe(5);
  });

  it('takes a quorum of answers', () => {
    const network = group();
    network.elect('a');
    setTime(network, 10);
    network.isolate('b', 'c');
    network.tick('a');
    expect(answersAlone(network)).toBe(false);
    network.heal();
    network.isolate('c');
    network.tick('a');
    expect(answersAlone(network)).toBe(true);
  });

  it('is void when the clock has jumped: the process stood still', () => {
    const network = led();
    setTime(network, 51, 'a');
    expect(answersAlone(network)).toBe(false);
    network.settle();
    expect(answersAlone(network)).toBe(true);
  });

  it('is not renewed by answers to what was sent before the jump', () => {
    const network = led();
    network.core('a').tick();
    network.handle('a');
    setTime(network, 51, 'a');
    network.settle();
    expect(answersAlone(network)).toBe(false);
  });

  it('is void when the clock went back, and then ages by what it shows', () => {
    const network = led();
    for (const now of [40, 70, 95]) setTime(network, now);
    network.tick('a');
    setTime(network, 5, 'a');
    expect(answersAlone(network)).toBe(false);
    network.settle();
    expect(network.core('a').status().leaseMs).toBe(90);
    for (const now of [40, 75, 95]) setTime(network, now, 'a');
    expect(answersAlone(network)).toBe(false);
  });

  it('is void from when a transfer begins, and after a timeout-now for the rest of the term', () => {
    const network = led();
    network.lose = (message) => message.type === 'timeout-now';
    network.core('a').transferLeadership('b');
    expect(answersAlone(network)).toBe(false);
    network.tick('a', 12);
    expect(network.core('a').status()).toMatchObject({ transferTarget: undefined, role: 'leader' });
    network.tick('a', 2);
    // The timeout-now may be late only, and then b is helped in spite of all promises.
    expect(answersAlone(network)).toBe(false);
    expect(network.core('a').holdsLease).toBe(false);
  });

  it('comes back after a transfer that was given up before anybody was told to stand', () => {
    const network = led();
    network.isolate('b');
    network.core('a').propose(data);
    network.settle();
    network.core('a').transferLeadership('b');
    network.tick('a', 12);
    expect(network.core('a').status().transferTarget).toBeUndefined();
    network.tick('a', 1);
    expect(answersAlone(network)).toBe(true);
  });

  it('is void when the leader steps down, and none of its own in the next term', () => {
    const network = led({ checkQuorum: false });
    network.core('a').stepDown();
    expect(network.core('a').holdsLease).toBe(false);
    for (const now of [45, 80, 115, 150]) setTime(network, now);
    network.lose = (message) => message.type === 'heartbeat';
    network.elect('a');
    expect(answersAlone(network)).toBe(false);
  });

  it('stands while another one wins an older term late, and that one gets none', () => {
    const network = group();
    // The vote of b for itself does not reach the disk for long, and only c hears of its candidacy.
    network.holdDisk('b');
    network.lose = ({ from, to }) => from === 'b' && to === 'a';
    network.core('b').campaign();
    network.settle();
    expect(network.core('c').status()).toMatchObject({ term: 1, vote: 'b' });
    network.isolate('b');
    network.core('a').step(makeMessage({ type: 'append-response', from: 'c', to: 'a', term: 1 }));
    network.elect('a');
    setTime(network, 10);
    network.tick('a');
    expect(network.core('a').holdsLease).toBe(true);
    network.releaseDisk('b');
    network.handle('b');
    expect(network.core('b')).toMatchObject({ isLeader: true, term: 1 });
    expect(network.core('a')).toMatchObject({ isLeader: true, term: 2, holdsLease: true });
    network.heal();
    network.tick('b');
    expect(network.core('b').holdsLease).toBe(false);
    expect(network.core('b').isLeader).toBe(false);
    expect(network.core('a').holdsLease).toBe(true);
  });

  it('cannot be while the leader does not know the time', () => {
    const network = new Network(ids, {
      checkQuorum: true,
      lease: { ...lease, refuseVotesAfterStart: false },
    });
    for (const id of ids) expect(network.core(id).holdsLease).toBe(false);
    network.core('a').campaign();
    network.settle();
    // Nobody who does not know the time may vote, since it could not measure its promises.
    expect(network.core('a').role).toBe('follower');
  });

  it('does not count before the leader has committed in its term', () => {
    const network = group({ checkQuorum: false });
    network.elect('a');
    setTime(network, 30);
    for (const now of [60, 90, 120]) setTime(network, now);
    network.lose = (message) => message.type === 'append';
    network.core('b').campaign();
    network.settle();
    network.tick('b', 2);
    network.core('b').readIndex('x', 'lease');
    network.settle();
    expect([network.core('b').role, network.reads('b')]).toEqual(['leader', []]);
  });
});

describe('a promise', () => {
  it('keeps a node from voting, and from standing, however fast it ticks', () => {
    const network = led({ checkQuorum: false });
    network.isolate('a');
    network.tick('b', 200);
    network.core('b').campaign();
    expect(network.core('b').status()).toMatchObject({ role: 'follower', term: 1 });
    const vote = { type: 'vote', from: 'b', to: 'c', index: 9, logTerm: 9 } as const;
    network.core('c').step(makeMessage({ ...vote, term: 9 }));
    expect(network.core('c').term).toBe(1);
    // It ends by its own clock.
    for (const now of [40, 75, 109]) setTime(network, now, 'b', 'c');
    network.tick('b');
    expect(network.core('b').term).toBe(1);
    setTime(network, 110, 'b', 'c');
    network.tick('b');
    expect(network.core('b').isLeader).toBe(true);
  });

  it('lasts no longer than its length when the clock of who gave it goes back', () => {
    const network = led({ checkQuorum: false });
    for (const now of [45, 80]) setTime(network, now, 'c');
    setTime(network, 3, 'c');
    const vote = { type: 'vote', from: 'b', to: 'c', term: 5, index: 9, logTerm: 5 } as const;
    for (const now of [40, 75, 102]) setTime(network, now, 'c');
    network.core('c').step(makeMessage(vote));
    expect(network.core('c').term).toBe(1);
    setTime(network, 103, 'c');
    network.core('c').step(makeMessage(vote));
    expect(network.core('c').status().vote).toBe('b');
  });

  it('has as long to go after its clock has leapt as before: nothing says that so much time has passed', () => {
    const network = led({ checkQuorum: false });
    setTime(network, 40, 'c');
    setTime(network, 4_000, 'c');
    const vote = { type: 'vote', from: 'b', to: 'c', term: 5, index: 9, logTerm: 5 } as const;
    for (const now of [4_030, 4_069]) setTime(network, now, 'c');
    network.core('c').step(makeMessage(vote));
    expect(network.core('c').term).toBe(1);
    setTime(network, 4_070, 'c');
    network.core('c').step(makeMessage(vote));
    expect(network.core('c').status().vote).toBe('b');
  });

  it('ends all the same on a node that is late each time it looks at its clock', () => {
    const network = led({ checkQuorum: false });
    const vote = { type: 'vote', from: 'b', to: 'c', term: 5, index: 9, logTerm: 5 } as const;
    let late = 0;
    for (let now = 1_000; network.core('c').term === 1 && late < 100; now += 1_000, late++) {
      setTime(network, now, 'c');
      network.core('c').step(makeMessage(vote));
    }
    expect(network.core('c').status().vote).toBe('b');
    // A clock that leaps a few times is another matter.
    expect(late).toBeGreaterThan(10);
  });

  it('stands in a later term too, which a node entered without a vote', () => {
    const network = led({ checkQuorum: false });
    // A late answer of somebody who has been in term 5.
    network.core('c').step(makeMessage({ type: 'append-response', from: 'b', to: 'c', term: 5, index: 0 }));
    expect(network.core('c').status()).toMatchObject({ term: 5, leader: undefined });
    const vote = { type: 'vote', from: 'b', to: 'c', term: 5, index: 9, logTerm: 5 } as const;
    network.core('c').step(makeMessage(vote));
    expect(network.core('c').status().vote).toBeUndefined();
    for (const now of [40, 75, 110]) setTime(network, now, 'c');
    network.core('c').step(makeMessage(vote));
    expect(network.core('c').status().vote).toBe('b');
  });

  it('is not forgotten with the leader', () => {
    const network = led();
    network.core('c').forgetLeader();
    expect(network.core('c').leader).toBe('a');
  });

  it('may have been given before a restart, so a node that starts again helps nobody for as long', () => {
    const network = led();
    const core = network.start('c', network.storage('c').clone());
    const vote = { type: 'vote', from: 'b', to: 'c', term: 5, index: 9, logTerm: 5 } as const;
    core.step(makeMessage(vote));
    expect(core.term).toBe(1);
    core.setTime(1_000);
    core.step(makeMessage(vote));
    expect(core.term).toBe(1);
    for (const now of [1_035, 1_070, 1_099]) core.setTime(now);
    core.step(makeMessage(vote));
    expect(core.term).toBe(1);
    core.setTime(1_100);
    core.step(makeMessage(vote));
    expect(core.status()).toMatchObject({ term: 5, vote: 'b' });
  });

  it('is not relied on before the disk of who gave it knows of any term: it would be forgotten in a crash', () => {
    const network = group();
    network.isolate('b');
    network.elect('a');
    network.isolate('c');
    network.holdDisk('b');
    setTime(network, 10);
    network.tick('a', 2);
    expect(network.core('b').leader).toBe('a');
    expect(network.core('a').holdsLease).toBe(false);
    network.releaseDisk('b');
    network.settle();
    network.tick('a');
    expect(network.core('a').holdsLease).toBe(true);
  });

  it('is broken for whom the leader itself has told to stand', () => {
    const network = led();
    network.core('a').transferLeadership('b');
    network.settle();
    expect(network.core('b').isLeader).toBe(true);
  });
});

describe('reads by lease without a clock', () => {
  it('trust that check-quorum would have deposed the leader', () => {
    const network = new Network(ids, { checkQuorum: true, readOnly: 'lease' });
    network.elect('a');
    expect(answersAlone(network)).toBe(true);
    network.core('b').forgetLeader();
    expect(network.core('b').leader).toBe('a');
  });

  it('need check-quorum', () => {
    expect(codeOf(() => new Network(ids, { readOnly: 'lease' }))).toBe('raft-config-invalid');
  });

  it('ask a quorum where neither was configured', () => {
    const network = new Network(ids, { checkQuorum: true });
    network.elect('a');
    expect(answersAlone(network)).toBe(false);
  });
});

describe('Lease', () => {
  it.each([
    { promiseMs: 0 },
    { promiseMs: Number.NaN },
    { driftMargin: 0 },
    { driftMargin: 1 },
    { maxPauseMs: 0 },
  ])('refuses %j', (wrong) => {
    expect(codeOf(() => new Lease({ ...lease, ...wrong }, false))).toBe('raft-config-invalid');
  });

  it('remembers so many unanswered rounds, the oldest: a later answer counts for those', () => {
    const own = new Lease({ ...lease, refuseVotesAfterStart: false }, false);
    own.setTime(0);
    for (let round = 1; round <= 1_000; round++) {
      if (round > 64) own.setTime(1);
      own.sent(round);
    }
    own.confirmed(1_000);
    expect(own.remainingMs).toBe(89);
  });
});
