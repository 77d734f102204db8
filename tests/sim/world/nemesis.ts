// Does harm, but never more at one moment than the protocol promises to survive: data that was durable is lost or
// damaged on fewer nodes than any quorum can do without, and such a node does not come back by itself. Everything else
// (crashes, pauses, partitions, slow and failing disks) may hit all nodes at once.

import { errorMessage } from '@datawarehouse/sdk';
import { brokenPromise, lateWriter, quarrel } from './plots.js';
import type { Prng } from './prng.js';
import type { Owner, Scheduler } from './scheduler.js';
import type { SimNetwork } from './sim-network.js';
import type { SimNode } from './sim-node.js';
import type { Trace } from './trace.js';

/** What the nemesis acts on. */
export interface Victims {
  readonly nodes: readonly SimNode[];
  readonly network: SimNetwork;
  readonly scheduler: Scheduler;
  readonly owner: Owner;
  readonly trace: Trace;
  readonly prng: Prng;
  /** Each group's members as its furthest replica has them, and the highest index known to be committed. */
  readonly confs: () => readonly GroupConf[];
  /** How many nodes of any one group may lose durable data. */
  readonly expendable: number;
  /** Told before a node's disk is damaged. */
  readonly onDamage: (node: string) => void;
  /** Told before a node's disk is wiped. */
  readonly onWipe: (node: string) => void;
  /** Whether a node may become a member of groups: nobody gives places to one that he is about to retire. */
  readonly mayJoin: (node: string) => boolean;
  /** Whether a node leads a group. */
  readonly leads: (node: SimNode) => boolean;
}

/** A group's members. */
export interface GroupConf {
  readonly id: string;
  readonly voters: readonly string[];
  readonly learners: readonly string[];
  /** Those of the voters that hold no data. */
  readonly witnesses: readonly string[];
  readonly commit: number;
}

type Fault = (nemesis: Nemesis) => void;

/** Everything that can go wrong, by name. */
export const FAULTS: Readonly<Record<string, Fault>> = {
  loss: (nemesis) =>
    nemesis.links((from, to) => ({ from, to, change: { loss: nemesis.prng.between(0, 0.3) } })),
  'slow-links': (nemesis) => {
    const { prng } = nemesis;
    const delay = prng.pick([2, 20, 100]);
    nemesis.links((from, to) => ({ from, to, change: { delay, jitter: prng.unit() * delay } }));
  },
  repeats: (nemesis) => nemesis.mischief('repeat'),
  reordering: (nemesis) => nemesis.mischief('overtake'),
  partition: (nemesis) => nemesis.partition('two-way'),
  'one-way': (nemesis) => nemesis.partition('one-way'),
  isolate: (nemesis) => nemesis.isolate(),
  flapping: (nemesis) => nemesis.flap(),
  compaction: (nemesis) => nemesis.compact(),
  laggard: (nemesis) => nemesis.lag(),
  kill: (nemesis) => nemesis.crash(undefined),
  'power-loss': (nemesis) => nemesis.crash(nemesis.prng.pick(['nothing', 'everything', 'any', 'any'])),
  blackout: (nemesis) => nemesis.blackout(),
  pause: (nemesis) => nemesis.pause(),
  'clock-step': (nemesis) => {
    nemesis.someNode().quartz.wallOffset += nemesis.prng.between(-3_600_000, 3_600_000);
  },
  'clock-leap': (nemesis) => nemesis.leap(),
  'slow-disk': (nemesis) => nemesis.troubleDisk((disk) => (disk.slowness = nemesis.prng.pick([5, 30, 100]))),
  'stalled-disk': (nemesis) => nemesis.stallDisk(),
  'failing-sync': (nemesis) => nemesis.troubleDisk((disk) => (disk.failNextSync = true)),
  'full-disk': (nemesis) => nemesis.troubleDisk((disk) => (disk.failWrites = 'ENOSPC')),
  'failing-disk': (nemesis) => nemesis.troubleDisk((disk) => (disk.failWrites = 'EIO')),
  'flipped-bit': (nemesis) => nemesis.flipBit(),
  misdirected: (nemesis) => nemesis.misdirect(),
  wipe: (nemesis) => nemesis.wipe(),
  'member-change': (nemesis) => nemesis.changeMembers(),
  'member-churn': (nemesis) => nemesis.churn(),
  quarrel,
  'late-writer': lateWriter,
  'broken-promise': brokenPromise,
};

/** Share of the nodes that are added as witnesses, to groups that have none. */
const WITNESS_SHARE = 0.3;

interface LinkChange {
  readonly from: string;
  readonly to: string;
  readonly change: Parameters<SimNetwork['shape']>[2];
}

/** Chooses what goes wrong, and when. */
export class Nemesis {
  /** Nodes whose durable data is lost or damaged: they are not counted on any more. */
  readonly gone = new Set<string>();
  /** Those of them whose disks were wiped, with the groups that they voted in. */
  private readonly wiped = new Map<string, readonly string[]>();
  /** Whether members were changed, by a fault or to bring a replica back. */
  changedMembers = false;
  /** How often each fault was done. */
  readonly done = new Map<string, number>();
  readonly prng: Prng;
  private stopped = false;

  constructor(readonly victims: Victims) {
    this.prng = victims.prng;
  }

  /** Does one of the faults after each wait, until {@link stop}. */
  start(faults: readonly string[], meanMs: number): void {
    if (faults.length === 0) return;
    const again = (): void => {
      this.after(this.prng.wait(meanMs), 'fault', () => {
        const name = this.prng.pick(faults);
        this.done.set(name, (this.done.get(name) ?? 0) + 1);
        this.note(name);
        FAULTS[name]?.(this);
        again();
      });
    };
    again();
  }

  stop(): void {
    this.stopped = true;
  }

  /** Everything works again, for these nodes; the others stay as they are. */
  heal(nodes: readonly SimNode[]): void {
    const { network } = this.victims;
    for (const node of nodes) {
      node.disk.mend();
      node.quartz.rate = 1;
    }
    network.heal(nodes.map(({ id }) => id));
    for (const node of nodes) {
      if (node.life?.storageFailure !== undefined) node.crash();
      if (node.state === 'down' || node.state === 'refused') node.start();
    }
  }

  /** A damaged disk that no process starts on gets replaced by an operator, sooner or later. */
  refused(node: SimNode): void {
    const { scheduler, owner } = this.victims;
    scheduler.schedule(owner, this.prng.between(100, 2_000), 'operator', () => {
      if (node.state !== 'refused') return;
      this.wipeDisk(node);
      node.start();
    });
  }

  links(choose: (from: string, to: string) => LinkChange): void {
    const { network } = this.victims;
    for (const from of network.nodes) {
      for (const to of network.others(from)) {
        if (!this.prng.chance(0.7)) continue;
        const chosen = choose(from, to);
        network.shape(chosen.from, chosen.to, chosen.change);
      }
    }
    this.undo(() => {
      for (const from of network.nodes) {
        for (const to of network.others(from)) network.shape(from, to, { loss: 0, delay: 0.3, jitter: 0.4 });
      }
    });
  }

  mischief(kind: 'repeat' | 'overtake'): void {
    const { mischief } = this.victims.network;
    mischief[kind] = this.prng.between(0.02, 0.3);
    this.undo(() => {
      mischief[kind] = 0;
    });
  }

  /** Splits the nodes in two. One way: what one side says is not heard on the other. */
  partition(kind: 'two-way' | 'one-way'): void {
    const mixed = this.prng.shuffled(this.victims.network.nodes);
    const side = mixed.splice(0, 1 + this.prng.below(mixed.length - 1));
    for (const from of side) for (const to of mixed) this.cut(from, to, kind);
    this.undo(() => {
      for (const from of side) for (const to of mixed) this.join(from, to);
    });
  }

  /** Cuts single links, so that who hears whom is no longer a matter of sides. */
  isolate(): void {
    const { network } = this.victims;
    const [a, b] = this.prng.shuffled(network.nodes) as [string, string];
    this.cut(a, b, this.prng.chance(0.5) ? 'two-way' : 'one-way');
    this.undo(() => this.join(a, b));
  }

  /** A connection that ends and comes back, again and again: what was on its way is lost, answers above all. */
  flap(): void {
    const { network } = this.victims;
    const [a, b] = this.prng.shuffled(network.nodes) as [string, string];
    this.again(
      () => network.reset(a, b),
      () => this.prng.between(20, 400),
    );
  }

  /** One node is far from all others, loses its connections now and then, and the log is gone that it needs next. */
  lag(): void {
    const { network } = this.victims;
    const far = this.prng.pick(network.nodes);
    const delay = this.prng.pick([20, 60, 120]);
    for (const other of network.others(far)) {
      network.shape(far, other, { delay });
      network.shape(other, far, { delay });
    }
    this.again(
      () => {
        for (const other of network.others(far)) network.reset(far, other);
      },
      () => this.prng.between(5 * delay, 20 * delay),
    );
    this.compact();
    this.undo(() => {
      for (const other of network.others(far)) {
        network.shape(far, other, { delay: 0.3 });
        network.shape(other, far, { delay: 0.3 });
      }
    });
  }

  /** Leaders take snapshots all the time and keep no entry that one covers: who is a little behind needs one. */
  compact(): void {
    const { nodes, scheduler } = this.victims;
    this.again(
      () => {
        for (const { life } of nodes) {
          for (const group of life?.engine?.all() ?? []) {
            if (life === undefined || !group.isLeader) continue;
            scheduler.schedule(life, 0, 'take a snapshot', () => {
              group.snapshots
                .take(0)
                .catch((error: unknown) => this.note(`no snapshot: ${errorMessage(error)}`));
            });
          }
        }
      },
      () => this.prng.between(10, 100),
    );
  }

  crash(loss: 'nothing' | 'everything' | 'any' | undefined): void {
    this.end(this.someNode(), loss);
  }

  blackout(): void {
    for (const node of this.victims.nodes) {
      if (node.state !== 'down') this.end(node, this.prng.pick(['nothing', 'any', undefined] as const));
    }
  }

  pause(): void {
    const { life } = this.someNode();
    if (life === undefined) return;
    const until = this.victims.scheduler.now + Math.min(3_000, this.someTime());
    // A pause within a longer one does not shorten it: what was put off to the end of that would stay put off, timers
    // above all, while the rest of the process runs.
    life.pausedUntil = Math.max(life.pausedUntil, until);
  }

  /** The monotonic clock of a node shows, from one event to the next, much more time than has passed. */
  leap(): void {
    const { life, quartz } = this.someNode();
    if (life === undefined) return;
    const byMs = this.prng.between(100, 5_000);
    quartz.leapt += byMs;
    this.victims.scheduler.hasten(life, byMs);
  }

  troubleDisk(trouble: (disk: SimNode['disk']['trouble']) => void): void {
    const node = this.someNode();
    trouble(node.disk.trouble);
    this.undo(() => {
      node.disk.mend();
      // What has failed stays failed until somebody starts the process again.
      if (node.life?.storageFailure !== undefined || node.state === 'refused') this.end(node, undefined);
    });
  }

  stallDisk(): void {
    this.someNode().disk.trouble.stalledUntil = this.victims.scheduler.now + Math.min(3_000, this.someTime());
  }

  flipBit(): void {
    const node = this.someNode();
    if (!this.mayDamage(node)) return;
    const files = [...node.disk.files()].flatMap(([path, name, inode]) => {
      const sectors = inode.settled();
      return sectors.length === 0 ? [] : [{ path, name, inode, sectors }];
    });
    if (files.length === 0) return;
    const { path, name, inode, sectors } = this.prng.pick(files);
    this.damage(node);
    const offset = inode.flipBit(this.prng.pick(sectors), this.prng);
    this.note(`flips a bit of ${node.id}:${path}/${name} at ${offset}`);
  }

  /** The disk puts a write elsewhere. A crash before anything else is written would leave no trace of it: not that. */
  misdirect(): void {
    const node = this.someNode();
    if (!this.mayDamage(node) || node.state !== 'up') return;
    this.damage(node);
    node.disk.trouble.misdirectNextWrite = true;
    this.note(`misdirects a write of ${node.id}`);
  }

  wipe(): void {
    const node = this.someNode();
    if (!this.mayDamage(node)) return;
    this.end(node, 'nothing');
    this.wipeDisk(node);
  }

  /** Asks a node to replace a voter, to add one, or to remove one. What comes of it does not matter. */
  changeMembers(): void {
    const { confs, nodes, scheduler, mayJoin } = this.victims;
    // Whoever takes a member away while another one is lost asks for more than can be survived.
    if (this.gone.size > 0) return;
    const { id, voters, witnesses } = this.prng.pick(confs());
    const { life } = this.someNode();
    if (life?.replicas === undefined) return;
    const outside = nodes.map((node) => node.id).filter((node) => !voters.includes(node) && mayJoin(node));
    const add =
      outside.length > 0 && (voters.length <= 3 || this.prng.chance(0.5)) ? [this.prng.pick(outside)] : [];
    const remove =
      voters.length > 3 || (add.length > 0 && this.prng.chance(0.6)) ? [this.prng.pick(voters)] : [];
    if (add.length + remove.length === 0) return;
    this.changedMembers = true;
    // A majority must have the data, so that a node's loss is survived as it is without witnesses.
    const few = witnesses.length === 0 && voters.length >= 3 && this.prng.chance(WITNESS_SHARE);
    const [added, addWitnesses] = few ? [[], add] : [add, []];
    this.note(`${id}: adds ${add.join()}${few ? ' as witness' : ''} removes ${remove.join()}`);
    const { members } = life.replicas;
    scheduler.schedule(life, 0, 'change members', () => {
      members.change(id, { add: added, remove, addLearners: [], addWitnesses }).then(
        (view) => this.note(`${id}: voters are ${view.voters.join()}`),
        (error: unknown) => this.note(`${id}: not changed: ${errorMessage(error)}`),
      );
    });
  }

  /** One change after the other, most of them before the last one is done, wherever somebody leads. */
  churn(): void {
    this.again(
      () => this.changeMembers(),
      () => this.prng.between(20, 300),
    );
  }

  /** Leaders more often than others: most can go wrong with them. */
  someNode(): SimNode {
    const { nodes, leads } = this.victims;
    const leading = nodes.filter(leads);
    return this.prng.pick(leading.length > 0 && this.prng.chance(0.4) ? leading : nodes);
  }

  /** Ends a process; it comes back after a while unless its data is gone. */
  end(
    node: SimNode,
    loss: 'nothing' | 'everything' | 'any' | undefined,
    downMs = this.prng.wait(this.prng.pick([50, 500, 3_000])),
  ): void {
    node.crash(loss);
    // What a misdirected write should have brought is nowhere, and nothing written later tells of it: another disk.
    if (node.disk.misdirectedLately()) this.wipeDisk(node);
    this.after(downMs, 'restart', () => {
      if (node.state === 'down') node.start();
    });
  }

  private wipeDisk(node: SimNode): void {
    const voted = this.victims.confs().filter(({ voters }) => voters.includes(node.id));
    this.wiped.set(node.id, [...new Set([...(this.wiped.get(node.id) ?? []), ...voted.map(({ id }) => id)])]);
    this.gone.add(node.id);
    this.changedMembers = true;
    this.victims.onWipe(node.id);
    node.crash('nothing');
    node.disk.wipe();
    this.note(`wipes ${node.id}`);
  }

  /** Whether a node whose disk was wiped votes again wherever it did, so that another one may lose its own. */
  private isBack(node: SimNode): boolean {
    const votes = this.wiped.get(node.id);
    const { life } = node;
    if (votes === undefined || life?.engine === undefined || life.replicas === undefined) return false;
    const { engine, replicas } = life;
    if (replicas.obstacle !== undefined) return false;
    return this.victims.confs().every(({ id, voters, learners, commit }) => {
      if (learners.includes(node.id)) return false;
      if (!voters.includes(node.id)) return !votes.includes(id);
      // Where nothing is committed yet, having applied nothing is not having a replica.
      const group = engine.group(id);
      return group !== undefined && group.lastApplied >= commit;
    });
  }

  private mayDamage(node: SimNode): boolean {
    for (const other of this.victims.nodes) {
      if (!this.isBack(other)) continue;
      this.gone.delete(other.id);
      this.wiped.delete(other.id);
    }
    return !this.gone.has(node.id) && this.gone.size < this.victims.expendable;
  }

  private damage(node: SimNode): void {
    this.gone.add(node.id);
    this.victims.onDamage(node.id);
  }

  cut(from: string, to: string, kind: 'two-way' | 'one-way'): void {
    this.victims.network.shape(from, to, { cut: true });
    if (kind === 'two-way') this.victims.network.shape(to, from, { cut: true });
  }

  join(a: string, b: string): void {
    this.victims.network.shape(a, b, { cut: false });
    this.victims.network.shape(b, a, { cut: false });
  }

  /** Does something now and then for a while. */
  private again(run: () => void, pauseMs: () => number): void {
    const { scheduler } = this.victims;
    const until = scheduler.now + this.someTime();
    const next = (): void => {
      run();
      if (scheduler.now < until) this.after(pauseMs(), 'once more', next);
    };
    next();
  }

  private undo(run: () => void): void {
    this.after(this.someTime(), 'repair', run);
  }

  /** From less than an election timeout to many. */
  private someTime(): number {
    return this.prng.wait(this.prng.pick([150, 500, 2_000, 6_000]));
  }

  after(delayMs: number, what: string, run: () => void): void {
    const { scheduler, owner } = this.victims;
    scheduler.schedule(owner, delayMs, what, () => {
      if (!this.stopped) run();
    });
  }

  note(text: string): void {
    const { trace, scheduler } = this.victims;
    trace.note(scheduler.now, 'nemesis', text);
  }
}
