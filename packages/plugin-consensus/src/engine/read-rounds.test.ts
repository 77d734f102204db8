// Reads of a turn share one round, and are served only by their own round's answer, once the state has reached it.

import { describe, expect, it } from 'vitest';
import { engineNotRunning } from '../errors.js';
import type { ReadMode } from '../raft/types.js';
import { ReadRounds } from './read-rounds.js';

function setUp() {
  const rounds = new ReadRounds('group-1', 'life-1');
  const asked: string[] = [];
  const modes: string[] = [];
  const answers: (string | undefined)[] = [];
  return {
    rounds,
    asked,
    modes,
    answers,
    read: (deadline = 100, mode: ReadMode = 'safe') => {
      const at = answers.push('waiting') - 1;
      rounds.add({
        mode,
        deadline,
        done: (error) => (answers[at] = error === undefined ? 'served' : error.code),
      });
    },
    start: (now = 0) => rounds.startRound(now, (context, mode) => asked.push(context) === modes.push(mode)),
  };
}

describe('ReadRounds', () => {
  it('puts all reads that wait into one round', () => {
    const { rounds, asked, answers, read, start } = setUp();
    read();
    read();
    start();
    expect(asked).toHaveLength(1);
    expect(rounds.wantsRound).toBe(false);
    rounds.confirm(asked[0]!, 5, 5);
    expect(answers).toEqual(['served', 'served']);
    expect(rounds.size).toBe(0);
  });

  it('lets reads trust the lease that say so, and no others', () => {
    const { rounds, asked, modes, answers, read, start } = setUp();
    read(100, 'safe');
    read(100, 'lease');
    start();
    expect(modes.toSorted()).toEqual(['lease', 'safe']);
    rounds.confirm(asked[modes.indexOf('lease')]!, 5, 5);
    expect(answers).toEqual(['waiting', 'served']);
    rounds.restart(Infinity);
    start();
    expect(modes).toHaveLength(3);
    expect(modes[2]).toBe('safe');
  });

  it('does not let a later read ride on an earlier round', () => {
    const { rounds, asked, answers, read, start } = setUp();
    read();
    start();
    read();
    rounds.confirm(asked[0]!, 5, 5);
    expect(answers).toEqual(['served', 'waiting']);
  });

  it('serves a read only once its index is applied', () => {
    const { rounds, asked, answers, read, start } = setUp();
    read();
    start();
    rounds.confirm(asked[0]!, 7, 5);
    rounds.applied(6);
    expect(answers).toEqual(['waiting']);
    rounds.applied(7);
    expect(answers).toEqual(['served']);
  });

  it('ignores answers to rounds that were given up, and to those of an earlier life', () => {
    const { rounds, asked, answers, read, start } = setUp();
    read();
    start(0);
    rounds.restart(0);
    rounds.confirm(asked[0]!, 1, 9);
    rounds.confirm('life-0:1', 1, 9);
    expect(answers).toEqual(['waiting']);
    start(10);
    rounds.confirm(asked[1]!, 1, 9);
    expect(answers).toEqual(['served']);
  });

  it('gives up at the deadline in every step, and when it stops', () => {
    const { rounds, asked, answers, read, start } = setUp();
    read(10);
    start();
    rounds.confirm(asked[0]!, 50, 5);
    read(10);
    start();
    read(10);
    read(90);
    rounds.expire(10);
    expect(answers).toEqual(['read-timeout', 'read-timeout', 'read-timeout', 'waiting']);
    rounds.stop(engineNotRunning());
    expect(answers[3]).toBe('consensus-not-running');
    expect(rounds.size).toBe(0);
  });
});
