// Nodes without a replica of the directory learn of a newer one at once, or by asking when the news is lost.

import { FakeClock, MemoryNetwork, createTestContext } from '@datawarehouse/sdk/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DIRECTORY_CHANNEL, DirectorySync } from './directory-sync.js';
import type { DirectoryView } from './directory-types.js';
import { EMPTY_DIRECTORY } from './directory-types.js';
import { createOf, nodeOf } from './directory.test.kit.js';
import { byId } from './directory-codec.js';

const ids = ['n1', 'n2', 'n3'];
let clock: FakeClock;
let network: MemoryNetwork;
let copies: Map<string, { view: DirectoryView; offers: number[]; offer(view: DirectoryView): boolean }>;
let syncs: Map<string, DirectorySync>;
let warnings: () => number;

function view(version: number, nodes = 3): DirectoryView {
  const { groups } = createOf(3);
  const list = Array.from({ length: nodes }, (_, at) => nodeOf(at + 1)).sort(byId);
  return { version, votersPerGroup: 3, nodes: list, groups, retired: [] };
}

function copy(id: string) {
  const found = copies.get(id);
  if (found === undefined) throw new Error(`there is no ${id}`);
  return found;
}

/** Lets everything be delivered that is on its way. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) {
    network.deliverAll();
    await clock.advanceAsync(0);
  }
}

beforeEach(() => {
  clock = new FakeClock();
  network = new MemoryNetwork({ nodes: ids, clock, delivery: 'manual' });
  copies = new Map();
  syncs = new Map();
  const test = createTestContext();
  warnings = () => test.logs.filter(({ level }) => level === 'warn').length;
  for (const id of ids) {
    const own = {
      view: EMPTY_DIRECTORY,
      offers: [] as number[],
      offer(next: DirectoryView): boolean {
        own.offers.push(next.version);
        if (next.version <= own.view.version) return false;
        own.view = next;
        return true;
      },
    };
    copies.set(id, own);
    syncs.set(id, new DirectorySync(network.transport(id), clock, test.context.log, own));
  }
});

afterEach(() => {
  for (const sync of syncs.values()) sync.stop();
  expect(clock.pendingTimers()).toEqual([]);
});

describe('the newest directory', () => {
  it('reaches every peer when it is told of, however large it is', async () => {
    copy('n1').view = view(4, 1_000);
    syncs.get('n1')?.tellAll();
    await settle();
    expect([copy('n2').view, copy('n3').view]).toEqual([view(4, 1_000), view(4, 1_000)]);
  });

  it('is asked for when the news was lost, from one peer a second in turn', async () => {
    copy('n3').view = view(4);
    clock.advance(1_000);
    await settle();
    clock.advance(1_000);
    await settle();
    expect([copy('n1').view.version, copy('n2').view.version]).toEqual([4, 4]);
  });

  it('is told to a peer that connects', async () => {
    network.partition('n1', 'n2');
    await settle();
    copy('n1').view = view(2);
    network.heal('n1', 'n2');
    await settle();
    expect(copy('n2').view.version).toBe(2);
  });

  it('is not sent to who has it, nor an older one to who has a newer', async () => {
    copy('n1').view = view(4);
    copy('n2').view = view(4);
    copy('n3').view = view(9);
    syncs.get('n1')?.tellAll();
    await settle();
    expect([copy('n2').offers, copy('n3').offers]).toEqual([[], []]);
  });
});

describe('a peer that talks nonsense', () => {
  it('is refused, and asked no worse than the others', async () => {
    network.transport('n2').send('n1', DIRECTORY_CHANNEL, Buffer.alloc(0));
    await settle();
    expect(warnings()).toBe(1);
    syncs.get('n2')?.stop();
    network
      .transport('n2')
      .handle(DIRECTORY_CHANNEL, { onRequest: async () => Buffer.from('{"directory":1}\n') });
    clock.advance(1_000);
    await settle();
    expect([copy('n1').view, warnings()]).toEqual([EMPTY_DIRECTORY, 2]);
    copy('n3').view = view(1);
    clock.advance(1_000);
    await settle();
    expect(copy('n1').view.version).toBe(1);
  });
});
