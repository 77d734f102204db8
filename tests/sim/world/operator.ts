// The operator of a simulated cluster that has a directory: lets another node join while everything goes wrong, and
// retires one of the first, as the commands of `dw` do it. Whoever hears nothing asks again, at any node.

import { isDwError } from '@datawarehouse/sdk';
import type { ClusterService } from '../../../packages/plugin-consensus/src/groups/directory/cluster-service.js';
import type { DirectoryView } from '../../../packages/plugin-consensus/src/groups/directory/directory-types.js';
import { Violation } from '../checks/violation.js';
import type { Prng } from './prng.js';
import type { Owner, Scheduler } from './scheduler.js';
import { type Life, type SimNode, addressesOf } from './sim-node.js';
import type { Trace } from './trace.js';

const ASK_MS = 6_000;
const PAUSE_MS = 500;
const RETIRE_WAIT_MS = 5_000;

/** What the operator is to do, and when. */
export interface Errands {
  /** The node that is to join. */
  readonly joins: SimNode;
  readonly joinsAfterMs: number;
  /** The node that is to go; undefined when all stay. */
  readonly retires: SimNode | undefined;
  readonly retiresAfterMs: number;
}

/** Lets nodes come and go. */
export class Operator {
  private running = 0;

  constructor(
    private readonly nodes: readonly SimNode[],
    private readonly scheduler: Scheduler,
    private readonly owner: Owner,
    private readonly trace: Trace,
    private readonly prng: Prng,
    private readonly errands: Errands,
  ) {}

  /** Whether everything was done that the operator can do. */
  get idle(): boolean {
    return this.running === 0;
  }

  /** Whether a node is to go, sooner or later. */
  retires(id: string): boolean {
    return this.errands.retires?.id === id;
  }

  start(): void {
    const { joinsAfterMs, retiresAfterMs, retires } = this.errands;
    this.begin(joinsAfterMs, () => this.join());
    if (retires !== undefined) this.begin(retiresAfterMs, () => this.retire(retires.id));
  }

  /** The newest directory that any node has. */
  get view(): DirectoryView | undefined {
    const views = this.nodes.flatMap(({ life }) => life?.service?.view ?? []);
    return views.toSorted((a, b) => b.version - a.version)[0];
  }

  /** Whether who joined is a member, and who retired is none, and nobody is on the way. */
  get settled(): boolean {
    const { joins, retires } = this.errands;
    const { nodes } = this.view ?? { nodes: [] };
    return (
      nodes.every(({ state }) => state === 'member') &&
      nodes.some(({ id, storageId }) => id === joins.id && storageId !== null) &&
      nodes.every(({ id }) => id !== retires?.id)
    );
  }

  /** Has the node that joined vote in a group, if it does not yet. */
  async giveVote(group: string, votes: () => boolean, deadline: number): Promise<void> {
    const { id } = this.errands.joins;
    while (!votes()) {
      if (this.scheduler.now > deadline) throw new Violation('progress', `${id} gets no vote in ${group}`);
      await this.ask(async ({ replicas }) => {
        const request = { add: [id], remove: [], addLearners: [], addWitnesses: [] };
        await replicas?.members.change(group, request);
      });
    }
  }

  private begin(afterMs: number, work: () => Promise<void>): void {
    this.running++;
    const all = async (): Promise<void> => {
      await this.pause(afterMs);
      await work();
    };
    all().then(
      () => this.running--,
      (error: unknown) => this.scheduler.fail(error),
    );
  }

  private async join(): Promise<void> {
    const { joins } = this.errands;
    for (;;) {
      const known = await this.askService(async (service) => {
        const answer = await service.submit({ op: 'join', id: joins.id, ...addressesOf(joins.id) });
        return answer.ok ? service.view.nodes.map(({ id }) => id) : undefined;
      });
      if (known === undefined) continue;
      this.note(`${joins.id} joins ${known.join(' ')}`);
      return joins.join(known);
    }
  }

  private async retire(id: string): Promise<void> {
    for (;;) {
      const { signal } = new AbortController();
      const state = await this.askService(async (service) => {
        // It is gone already when an answer was lost.
        if (!service.view.nodes.some((node) => node.id === id)) return 'retired';
        return service.retireNode(id, RETIRE_WAIT_MS, signal);
      });
      if (state === undefined) continue;
      this.note(`${id} is ${state}`);
      return;
    }
  }

  private askService<T>(work: (service: ClusterService) => Promise<T>): Promise<T | undefined> {
    return this.ask(async ({ service }) => {
      if (service?.standing !== 'member' || service.view.version === 0) return undefined;
      return work(service);
    });
  }

  /** Asks some node, and waits a little. @returns undefined when it refused, or was not heard of again. */
  private async ask<T>(work: (life: Life) => Promise<T>): Promise<T | undefined> {
    const { life } = this.prng.pick(this.nodes);
    const answer = life?.engine === undefined ? undefined : await this.askLife(life, work);
    if (answer === undefined) await this.pause(this.prng.wait(PAUSE_MS));
    return answer;
  }

  private askLife<T>(life: Life, work: (life: Life) => Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const settle = (answer: T | undefined): void => {
        timer.cancel();
        life.onEnd.delete(lost);
        resolve(answer);
      };
      const lost = (): void => settle(undefined);
      const timer = this.scheduler.schedule(this.owner, ASK_MS, 'operator gives up', lost);
      life.onEnd.add(lost);
      this.scheduler.schedule(life, 0, 'request', () => {
        work(life).then(settle, (error: unknown) => {
          if (!isDwError(error)) return reject(error);
          this.note(`refused: ${error.code}`);
          settle(undefined);
        });
      });
    });
  }

  private pause(ms: number): Promise<void> {
    return this.scheduler.sleep(this.owner, ms, 'operator');
  }

  private note(text: string): void {
    this.trace.note(this.scheduler.now, 'operator', text);
  }
}
