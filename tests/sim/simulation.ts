// One simulation: a cluster, its clients and its nemesis, under one seed. First everything goes wrong that the seed
// chooses; then the world is healed for a majority, and progress is demanded.

import { errorMessage } from '@datawarehouse/sdk';
import { DIRECTORY_GROUP } from '../../packages/plugin-consensus/src/groups/directory/directory-types.js';
import { GroupTable } from '../../packages/plugin-consensus/src/groups/group-table.js';
import { type GroupPlacement, placeGroups } from '../../packages/plugin-consensus/src/groups/placement.js';
import {
  CONSENSUS_LIMITS,
  type ConsensusLimits,
} from '../../packages/plugin-consensus/src/scaling/consensus-limits.js';
import { checkLinearizable, explain } from '../linearizability/checker.js';
import { Checks } from './checks/checks.js';
import { Violation } from './checks/violation.js';
import { Clients } from './world/clients.js';
import { FAULTS, type GroupConf, Nemesis } from './world/nemesis.js';
import { Operator } from './world/operator.js';
import { Prng } from './world/prng.js';
import { type Owner, Scheduler } from './world/scheduler.js';
import { SimNetwork } from './world/sim-network.js';
import { type Setting, SimNode } from './world/sim-node.js';
import { HostilePolicies } from './world/sim-policies.js';
import { Trace } from './world/trace.js';

/** Simulated ms within which a healed majority must write to every group, and agree. */
const PROGRESS_MS = 30_000;
/** More than any run needs: beyond, something goes round in circles. */
const MAX_EVENTS = 3_000_000;

/** Share of the clusters that have a directory. */
const DIRECTORY_SHARE = 0.15;
/** Nodes are told to come and go before so much trouble is over. */
const LEAST_TROUBLE_MS = 10_000;

const DEFAULTS = Object.fromEntries(
  Object.entries(CONSENSUS_LIMITS).map(([name, limit]) => [name, limit.default]),
) as ConsensusLimits;

/** Faults that change members. */
const CHANGING = new Set(['member-change', 'member-churn', 'quarrel']);
/** Faults after which durable data is gone. */
const DAMAGING = new Set(['flipped-bit', 'misdirected', 'wipe']);

/** What to simulate. */
export interface SimulationOptions {
  readonly seed: number;
  /** The faults to choose from; default: those that the seed chooses of all. */
  readonly faults?: readonly string[];
  /** Nodes; default: the seed chooses. */
  readonly nodes?: number;
  /** Ms of trouble; default: the seed chooses. */
  readonly troubleMs?: number;
  /** Whether the cluster has a directory, and nodes join and retire; default: the seed chooses. */
  readonly directory?: boolean;
  /** Whether requests between nodes go through a policy that does to them what a policy can. Default false. */
  readonly policies?: boolean;
  /** Takes each line of the trace. */
  readonly write?: (line: string) => void;
}

/** How a simulation ended. */
export interface SimulationResult {
  readonly seed: number;
  /** What was broken; undefined when nothing was. */
  readonly violation: Error | undefined;
  /** Hash of the whole trace. */
  readonly hash: string;
  readonly simulatedMs: number;
  readonly events: number;
  readonly operations: { readonly done: number; readonly unknown: number; readonly refused: number };
  readonly faults: Readonly<Record<string, number>>;
  readonly commits: number;
}

/** Runs one simulation. Never rejects. */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const world = new World(options);
  let violation: Error | undefined;
  const onRejection = (thrown: unknown): void => world.scheduler.fail(thrown);
  process.on('unhandledRejection', onRejection);
  try {
    await world.run();
  } catch (thrown) {
    violation = thrown instanceof Error ? thrown : new Error(String(thrown));
  } finally {
    process.off('unhandledRejection', onRejection);
  }
  return world.result(violation);
}

class World {
  readonly scheduler: Scheduler;
  private readonly trace: Trace;
  private readonly owner: Owner = { name: 'world', alive: true, pausedUntil: 0 };
  private readonly nodes: readonly SimNode[];
  private readonly clients: Clients;
  private readonly nemesis: Nemesis;
  private readonly checks: Checks;
  private readonly setting: Setting;
  private readonly prng: Prng;
  private readonly faults: readonly string[];
  /** All groups, that of the directory among them. */
  private readonly groups: readonly GroupPlacement[];
  /** Lets nodes come and go, in a cluster that has a directory. */
  private readonly operator: Operator | undefined;
  private ended = false;

  constructor(private readonly options: SimulationOptions) {
    const prng = new Prng(options.seed, 'world');
    this.prng = prng;
    this.trace = new Trace(options.write);
    this.scheduler = new Scheduler(this.trace, () => this.look());
    this.checks = new Checks(
      () => this.scheduler.now,
      (violation) => this.scheduler.fail(violation),
    );
    const count = options.nodes ?? prng.pick([3, 3, 3, 3, 4, 5, 5]);
    const ids = Array.from({ length: count }, (_, n) => `n${n + 1}`);
    const voters = count >= 5 ? prng.pick([3, 5]) : 3;
    const placements = placeGroups(ids, prng.pick([1, 1, 1, 1, 2, 3]), voters);
    const table = new GroupTable(placements);
    const chance = prng.stream('directory');
    const directory = options.directory ?? chance.chance(DIRECTORY_SHARE);
    this.groups = directory ? [...placements, ...placeGroups(ids, 1, voters).map(asDirectory)] : placements;
    const all = directory ? [...ids, `n${count + 1}`] : ids;
    const network = new SimNetwork(all, this.scheduler, this.owner, this.trace, prng.stream('network'));
    this.setting = {
      scheduler: this.scheduler,
      network,
      trace: this.trace,
      prng,
      checks: this.checks,
      placements,
      directory: directory ? { groups: placements.length, votersPerGroup: voters } : undefined,
      policies: options.policies === true ? new HostilePolicies() : undefined,
      table,
      groupOf: (key) => table.groupOf(key),
      limits: {
        ...DEFAULTS,
        minElectionTimeoutMs: prng.pick([150, 400, 1_000]),
        snapshotEntries: prng.pick([20, 60, 100_000]),
        maxCacheEntries: prng.pick([0, 5, 30]),
        snapshotLogBytes: prng.pick([20_000, 10_000_000]),
      },
      // Most disks have writes that are durable when they return; without them each batch is written and then synced.
      syncBy: prng.stream('sync by').chance(0.15) ? 'fdatasync' : 'write',
      sizes: {
        entriesPerSegment: prng.pick([4, 16, 64]),
        maxSegmentBytes: prng.pick([4_096, 64 * 1024]),
        checkpointBytes: prng.pick([4_096, 32 * 1024]),
        maxLagBytes: prng.pick([2_048, 64 * 1024]),
        flushBytes: prng.pick([1, 1_024, 16 * 1024]),
        cacheBytesPerGroup: prng.pick([0, 2_048, 64 * 1024]),
      },
    };
    this.nodes = all.map((id) => new SimNode(id, ids, this.setting));
    const shortWrites = prng.pick([0, 0, 0.05]);
    for (const node of this.nodes) {
      node.quartz.rate = prng.between(0.98, 1.02);
      node.disk.trouble.shortWrites = shortWrites;
    }
    this.clients = new Clients(
      this.nodes,
      this.scheduler,
      this.owner,
      this.trace,
      prng.stream('clients'),
      {
        clients: prng.pick([2, 3, 5]),
        keys: prng.pick([2, 4, 8]),
        pauseMs: prng.pick([150, 500, 1_500]),
        once: 0.3,
      },
      this.setting.groupOf,
    );
    const { nodes } = this;
    this.nemesis = new Nemesis({
      get nodes() {
        return nodes.filter(({ isThere }) => isThere);
      },
      network,
      scheduler: this.scheduler,
      owner: this.owner,
      trace: this.trace,
      prng: prng.stream('nemesis'),
      confs: () => this.confs(),
      expendable: Math.floor((voters - 1) / 2),
      onDamage: (node) => this.checks.damaged(node),
      onWipe: (node) => this.checks.wiped(node),
      mayJoin: (node) => this.operator?.retires(node) !== true,
      leads: (node) => node.life?.engine?.all().some((group) => group.isLeader) ?? false,
    });
    // Not all at once: what one fault hides, another run without it shows.
    const chosen = options.faults ?? Object.keys(FAULTS).filter(() => prng.chance(0.4));
    // Members are not changed by hand while others are lost: both together ask for more than can be survived.
    const lossy =
      chosen.some((name) => DAMAGING.has(name)) && (options.faults !== undefined || prng.chance(0.5));
    if (directory && !lossy) this.operator = this.makeOperator(chance, options.troubleMs ?? LEAST_TROUBLE_MS);
    this.faults = chosen.filter((name) => !(lossy ? CHANGING : DAMAGING).has(name));
  }

  /** Who lets the last node join, and perhaps one of the first go. */
  private makeOperator(prng: Prng, withinMs: number): Operator {
    const { nodes, scheduler, owner, trace } = this;
    const [joins] = nodes.slice(-1) as [SimNode];
    return new Operator(nodes, scheduler, owner, trace, prng, {
      joins,
      joinsAfterMs: prng.between(0, withinMs),
      retires: prng.chance(0.6) ? prng.pick(nodes.slice(0, -1)) : undefined,
      retiresAfterMs: prng.between(0, withinMs),
    });
  }

  async run(): Promise<void> {
    const { prng, options } = this;
    for (const node of this.nodes) node.start();
    this.clients.start();
    this.operator?.start();
    this.scheduler.schedule(this.owner, prng.between(0, 3_000), 'trouble begins', () => {
      this.nemesis.start(this.faults, prng.pick([300, 1_000, 3_000]));
    });
    this.story(options.troubleMs ?? prng.between(10_000, 40_000)).then(
      () => {
        this.ended = true;
      },
      (error: unknown) => this.scheduler.fail(error),
    );
    await this.scheduler.run(() => this.ended);
    if (!this.ended) throw new Violation('progress', 'nothing is left to happen before the end');
    const verdict = checkLinearizable(this.clients.history);
    if (!verdict.linearizable) throw new Violation('linearizability', explain(verdict));
  }

  result(violation: Error | undefined): SimulationResult {
    return {
      seed: this.options.seed,
      violation,
      hash: this.trace.hash,
      simulatedMs: this.scheduler.now,
      events: this.scheduler.events,
      operations: this.clients.counts,
      faults: Object.fromEntries(this.nemesis.done),
      commits: this.groups.reduce((sum, { id }) => sum + this.checks.group(id).commitIndex, 0),
    };
  }

  private async story(troubleMs: number): Promise<void> {
    await this.pass(troubleMs);
    this.nemesis.stop();
    const healthy = this.chooseMajority();
    this.trace.note(this.scheduler.now, 'world', `healed: ${healthy.map(({ id }) => id).join(' ')}`);
    for (const node of this.nodes) if (!healthy.includes(node) && node.state !== 'down') node.crash();
    this.setting.policies?.relent(healthy.filter(({ state }) => state !== 'down').map(({ id }) => id));
    this.nemesis.heal(healthy);
    const deadline = this.scheduler.now + PROGRESS_MS;
    for (const { id } of this.setting.placements) await this.writeTo(id, healthy, deadline);
    this.clients.stop();
    await this.until('clients end', deadline, () => this.clients.idle);
    if (this.operator !== undefined) await this.comeAndGone(this.operator, deadline + PROGRESS_MS);
    // One that retired while it was down was told by nobody, and each read there takes its whole time to fail.
    const members = healthy.filter(({ id }) => this.operator?.retires(id) !== true);
    await this.readEverything(members, deadline + PROGRESS_MS);
    await this.until('replicas agree', deadline + 2 * PROGRESS_MS, () => this.replicasAgree(healthy));
  }

  /** Who joined is a member and may vote everywhere, and who retired is in no group. */
  private async comeAndGone(operator: Operator, deadline: number): Promise<void> {
    await this.until('the operator ends', deadline, () => operator.idle);
    await this.until('nodes have come and gone', deadline, () => operator.settled);
    const members = new Set(operator.view?.nodes.map(({ id }) => id));
    const [newest] = this.nodes.slice(-1) as [SimNode];
    for (const { id } of this.groups) {
      const conf = (): GroupConf => this.confs().find((one) => one.id === id) as GroupConf;
      await operator.giveVote(id, () => conf().voters.includes(newest.id), deadline);
      const stranger = [...conf().voters, ...conf().learners].find((node) => !members.has(node));
      if (stranger === undefined) continue;
      throw new Violation('who retired is in no group', `${stranger} is a member of ${id}`);
    }
  }

  /** All nodes that can come back, or only as many as every group needs. */
  private chooseMajority(): readonly SimNode[] {
    // Who is needed is then for the nodes themselves to find out: also a replica that was lost is to come back.
    if (this.nemesis.changedMembers || this.operator !== undefined) return this.nodes;
    // A cluster begins when all its voters have heard of each other.
    if (this.nodes.some((node) => node.isThere && !node.knowsItself)) return this.nodes;
    const able = this.nodes.filter(({ id, isThere }) => isThere && !this.nemesis.gone.has(id));
    const [left, ...rest] = this.prng.shuffled(able);
    const without = rest.map(({ id }) => id);
    const enough = this.groups.every(
      ({ voters }) => voters.filter((voter) => without.includes(voter)).length * 2 > voters.length,
    );
    return enough && left !== undefined && this.prng.chance(0.5) ? rest : able;
  }

  /** A write to each group must succeed. */
  private async writeTo(group: string, nodes: readonly SimNode[], deadline: number): Promise<void> {
    const key = this.keyOf(group);
    for (let n = 0; ; n++) {
      const node = this.prng.pick(nodes);
      const told = await this.clients.perform(node, -1, key, { kind: 'put', value: `progress-${n}` });
      if (told.kind === 'written') return;
      if (this.scheduler.now > deadline) {
        const why = 'code' in told ? told.code : told.kind;
        throw new Violation(
          'progress',
          `no write to ${group} in ${PROGRESS_MS} ms with a majority well: ${why}`,
        );
      }
      await this.pass(50);
    }
  }

  /** What was acknowledged must be there: the histories are checked with these reads at their end. */
  private async readEverything(nodes: readonly SimNode[], deadline: number): Promise<void> {
    for (const key of new Set(this.clients.history.map((entry) => entry.key))) {
      for (;;) {
        const told = await this.clients.perform(this.prng.pick(nodes), -1, key, { kind: 'get' });
        if (told.kind === 'read') break;
        if (this.scheduler.now > deadline) throw new Violation('progress', `${key} cannot be read`);
        await this.pass(50);
      }
    }
  }

  private replicasAgree(nodes: readonly SimNode[]): boolean {
    return this.confs().every(({ id, voters, witnesses }) => {
      const seen = nodes.flatMap((node) => {
        if (!voters.includes(node.id) || witnesses.includes(node.id)) return [];
        const group = node.life?.engine?.group(id);
        if (group === undefined) {
          // One that never ran before must hear from every other voter, also from who was left out.
          const waits = nodes.length < this.nodes.length && node.life?.replicas?.startState === 'undecided';
          return waits ? [] : ['none'];
        }
        return [`${group.lastApplied} ${group.state.stateHash(group.lastApplied)}`];
      });
      return new Set(seen).size === 1 && seen[0] !== 'none';
    });
  }

  private confs(): readonly GroupConf[] {
    return this.groups.map(({ id, voters }) => {
      const replicas = this.nodes.flatMap((node) => node.life?.engine?.group(id) ?? []);
      const furthest = replicas.toSorted((a, b) => b.lastApplied - a.lastApplied)[0];
      const commit = this.checks.group(id).commitIndex;
      if (furthest === undefined) return { id, voters, learners: [], witnesses: [], commit };
      const { conf } = furthest;
      const learners = [...conf.learners, ...conf.learnersNext];
      return { id, voters: conf.voters, learners, witnesses: conf.witnesses, commit };
    });
  }

  private keyOf(group: string): string {
    for (let n = 0; ; n++) if (this.setting.groupOf(`probe-${n}`) === group) return `probe-${n}`;
  }

  private async until(what: string, deadline: number, holds: () => boolean): Promise<void> {
    while (!holds()) {
      if (this.scheduler.now > deadline) throw new Violation('progress', `not in time: ${what}`);
      await this.pass(20);
    }
  }

  private pass(ms: number): Promise<void> {
    return this.scheduler.sleep(this.owner, ms, 'story');
  }

  /** After each event. */
  private look(): void {
    if (this.scheduler.events > MAX_EVENTS)
      throw new Violation('progress', `${MAX_EVENTS} events and no end`);
    for (const node of this.nodes) {
      if (node.state !== 'refused' || node.refusal === undefined) continue;
      const { refusal } = node;
      node.refusal = undefined;
      if (this.nemesis.gone.has(node.id)) this.nemesis.refused(node);
      else {
        const what = `${node.id} refuses to start: ${errorMessage(refusal)}`;
        throw new Violation('a crash does no damage', what);
      }
    }
  }
}

function asDirectory(placement: GroupPlacement): GroupPlacement {
  return { ...placement, id: DIRECTORY_GROUP };
}
