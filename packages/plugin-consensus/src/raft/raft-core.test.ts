import { isDwError } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import { RaftCore } from './raft-core.js';
import { confOf, MemoryStorage } from './testing/memory-storage.test.kit.js';
import { Network, testConfig, type Options } from './testing/network.test.kit.js';

const data = new Uint8Array([7]);

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
  } catch (error) {
    return isDwError(error) ? error.code : 'another error';
  }
  return undefined;
}

function led(options: Options = {}): Network {
  const network = new Network(['a', 'b', 'c'], options);
  network.elect('a');
  return network;
}

describe('a group of three', () => {
  it('elects a leader, replicates, commits and applies', () => {
    const network = led();
    expect(network.core('a').propose(data)).toEqual({ index: 2, term: 1 });
    network.settle();
    for (const id of ['a', 'b', 'c']) {
      expect(network.core(id).applied).toBe(2);
      expect(network.applied(id).map((entry) => [...entry.data])).toEqual([[], [7]]);
      expect(network.core(id).leader).toBe('a');
    }
  });

  it('goes on with one node gone, and that node catches up', () => {
    const network = led();
    network.isolate('c');
    for (let i = 0; i < 5; i++) network.core('a').propose(data);
    network.settle();
    expect([network.core('a').applied, network.core('c').applied]).toEqual([6, 1]);
    network.heal();
    network.tick('a');
    expect(network.core('c').applied).toBe(6);
  });
});

describe('proposals', () => {
  it('are refused by a node that does not lead, which names the leader', () => {
    const network = led();
    let thrown: unknown;
    try {
      network.core('b').propose(data);
    } catch (error) {
      thrown = error;
    }
    expect(isDwError(thrown, 'not-leader') && thrown.details).toEqual({ leader: 'a' });
    expect(codeOf(() => network.core('b').proposeBatch([data]))).toBe('not-leader');
  });

  it('of one batch go out as one append', () => {
    const network = led();
    const before = network.sent.length;
    expect(network.core('a').proposeBatch([data, data, data])).toEqual({ index: 2, term: 1, accepted: 3 });
    network.handle('a');
    const sent = network.sent.slice(before);
    expect(sent.map((message) => [message.type, message.to, message.entries.length])).toEqual([
      ['append', 'b', 3],
      ['append', 'c', 3],
    ]);
    network.settle();
    expect(network.core('c').applied).toBe(4);
  });

  it('are bounded by bytes, and taken again once those are applied', () => {
    const network = led({ maxUncommittedBytes: 25 });
    network.isolate('b', 'c');
    const ten = new Uint8Array(10);
    expect(network.core('a').proposeBatch([ten, ten, ten]).accepted).toBe(2);
    expect(network.core('a').lastIndex).toBe(3);
    expect(codeOf(() => network.core('a').propose(ten))).toBe('proposal-dropped');
    expect(codeOf(() => network.core('a').proposeBatch([ten]))).toBe('proposal-dropped');
    expect(network.core('a').lastIndex).toBe(3);
    network.heal();
    network.settle();
    network.tick('a');
    expect(network.core('a').status().uncommittedBytes).toBe(0);
    expect(network.core('a').propose(ten).index).toBe(4);
  });

  it('of any size are taken when nothing else is uncommitted, but one at a time', () => {
    const network = led({ maxUncommittedBytes: 5 });
    network.isolate('b', 'c');
    expect(network.core('a').proposeBatch([new Uint8Array(50), data]).accepted).toBe(1);
    expect(codeOf(() => network.core('a').propose(data))).toBe('proposal-dropped');
  });

  it('of nothing are a mistake', () => {
    expect(codeOf(() => led().core('a').proposeBatch([]))).toBe('raft-config-invalid');
  });
});

describe('a core that starts', () => {
  function started(change: (storage: MemoryStorage) => void, options: Options = {}): RaftCore {
    const storage = new MemoryStorage(confOf(['a', 'b', 'c']));
    change(storage);
    return new RaftCore(testConfig('a', storage, options));
  }

  it('remembers its term and vote', () => {
    const core = started((storage) => {
      storage.hardState = { term: 4, vote: 'b', commit: 0 };
    });
    expect(core.status()).toMatchObject({ term: 4, vote: 'b', role: 'follower', leader: undefined });
    expect(core.hasReady()).toBe(false);
  });

  it('refuses a log that ends before what is committed', () => {
    const lost = (storage: MemoryStorage): void => {
      storage.hardState = { term: 4, vote: undefined, commit: 3 };
    };
    expect(codeOf(() => started(lost))).toBe('raft-invariant');
    expect(codeOf(() => started(() => undefined, { applied: 1 }))).toBe('raft-invariant');
  });

  it('takes what is in a snapshot for committed, whatever the stored commit index says', () => {
    const core = started((storage) => {
      const entries = [1, 2, 3].map((index) => ({ index, term: 1, type: 'normal' as const, data }));
      storage.write({ hardState: { term: 1, vote: undefined, commit: 1 }, snapshot: undefined, entries });
      storage.compact(2, data);
    });
    expect([core.commit, core.lastIndex]).toEqual([2, 3]);
  });

  it('refuses settings that cannot work', () => {
    const wrong: readonly Options[] = [
      { electionTicks: 1 },
      { heartbeatTicks: 0 },
      { electionTicks: 2.5 },
      { maxInflightMessages: 0 },
      { maxUncommittedBytes: Number.NaN },
      { maxInflightBytes: 1 },
    ];
    for (const options of wrong) {
      expect(
        codeOf(() => started(() => undefined, options)),
        JSON.stringify(options),
      ).toBe('raft-config-invalid');
    }
  });
});

describe('a Ready', () => {
  it('says each thing once', () => {
    const network = led();
    network.core('a').propose(data);
    const ready = network.core('a').ready();
    expect(ready.append?.entries.length).toBe(1);
    expect(ready.messages.length).toBe(2);
    expect(network.core('a').hasReady()).toBe(false);
    const empty = network.core('a').ready();
    expect(empty).toMatchObject({
      soft: undefined,
      messages: [],
      append: undefined,
      apply: undefined,
      reads: [],
    });
  });

  it('may be one of several under way', () => {
    const network = led();
    const core = network.core('a');
    core.propose(data);
    const first = core.ready();
    core.propose(data);
    const second = core.ready();
    expect([first, second].map((ready) => ready.append?.entries.map((entry) => entry.index))).toEqual([
      [2],
      [3],
    ]);
    for (const ready of [first, second]) {
      network.storage('a').write(ready.append ?? { hardState: undefined, entries: [], snapshot: undefined });
      for (const response of ready.append?.responses ?? []) core.step(response);
      network.send(ready.messages);
    }
    network.settle();
    expect(network.core('c').applied).toBe(3);
  });

  it('needs a sync for entries, term and vote, but not for a commit index alone', () => {
    const network = new Network(['a', 'b', 'c']);
    const core = network.core('a');
    core.campaign();
    const candidacy = core.ready();
    expect(candidacy.append).toMatchObject({
      mustSync: true,
      hardState: { term: 1, vote: 'a' },
      entries: [],
    });
    network.elect('b');
    network.core('b').propose(data);
    network.settle();
    const commits = network.sent.filter((message) => message.type === 'append' && message.commit === 2);
    expect(commits.length).toBeGreaterThan(0);
    const follower = new RaftCore(testConfig('c', network.storage('c').clone()));
    const [commit] = commits;
    if (commit === undefined) throw new Error('no commit was sent');
    follower.step({ ...commit, to: 'c', commit: network.core('b').commit });
    expect(follower.ready().append?.mustSync ?? false).toBe(false);
  });

  it('does not let go of entries whose place was taken while they were written, though they come back', () => {
    // A term's entries are replaced, then the same entries return: the first write says nothing about the third.
    const network = new Network(['a', 'b', 'c', 'd', 'e']);
    const core = network.core('b');
    const append = (from: string, term: number, entryTerm: number): void => {
      const entries = [{ index: 1, term: entryTerm, type: 'normal' as const, data }];
      core.step({ ...network.templateAppend(from, 'b', term), entries });
    };
    append('a', 1, 1);
    const first = core.ready();
    append('c', 2, 2);
    core.ready();
    append('a', 3, 1);
    core.ready();
    const response = first.append?.responses.find((message) => message.type === 'storage-append-response');
    if (response === undefined) throw new Error('no answer of the storage is expected');
    core.step(response);
    // Had the entry been let go, the log would now be read from storage, which may hold the entry of term 2.
    expect(core.lastIndex).toBe(1);
    network.storage('b').write({
      hardState: undefined,
      snapshot: undefined,
      entries: [{ index: 1, term: 2, type: 'normal', data }],
    });
    core.step({ ...network.templateAppend('a', 'b', 3), index: 1, logTerm: 1 });
    const answer = core.ready().append?.responses.find((message) => message.to === 'a');
    expect(answer).toMatchObject({ type: 'append-response', reject: false, index: 1 });
  });
});

describe('ticks', () => {
  it('can be changed while it runs', () => {
    const network = new Network(['a', 'b', 'c']);
    network.core('a').setElectionTicks(3);
    network.tick('a', 2);
    expect(network.core('a').role).toBe('follower');
    network.tick('a');
    expect(network.core('a').role).toBe('leader');
    network.core('a').setHeartbeatTicks(2);
    const before = network.sent.length;
    network.tick('a');
    expect(network.sent.length).toBe(before);
    network.tick('a');
    expect(network.sent.length).toBeGreaterThan(before);
  });

  it('must leave room for heartbeats in an election timeout', () => {
    const core = led().core('a');
    expect(codeOf(() => core.setElectionTicks(1))).toBe('raft-config-invalid');
    expect(codeOf(() => core.setHeartbeatTicks(10))).toBe('raft-config-invalid');
    expect(codeOf(() => core.setHeartbeatTicks(0))).toBe('raft-config-invalid');
    expect(core.status()).toMatchObject({ electionTicks: 10, heartbeatTicks: 1 });
  });
});

describe('status', () => {
  it('shows what a leader knows of its members', () => {
    const network = led();
    const status = network.core('a').status();
    expect(status).toMatchObject({
      id: 'a',
      term: 1,
      role: 'leader',
      leader: 'a',
      commit: 1,
      applied: 1,
      firstIndex: 1,
    });
    expect(status.progress.map(({ id, match, next, state }) => [id, match, next, state])).toEqual([
      ['a', 1, 2, 'replicate'],
      ['b', 1, 2, 'replicate'],
      ['c', 1, 2, 'replicate'],
    ]);
    expect(network.core('b').status().progress).toEqual([]);
  });
});
