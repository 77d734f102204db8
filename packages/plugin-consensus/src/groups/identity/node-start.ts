// A node's way from its disk to its replicas: opens what is there, and, on a node that is new, makes the groups of the
// configuration as soon as it is sure to be new. A node that lost its storage makes none, and waits to be brought back.

import type { DwError, Logger } from '@datawarehouse/sdk';
import { errorMessage } from '@datawarehouse/sdk';
import type { MultiRaftEngine } from '../../engine/multi-raft-engine.js';
import { machineOfGroup } from '../../machines/machine-groups.js';
import type { GroupPlacement } from '../placement.js';
import type { Acquaintances } from './acquaintances.js';
import { deniedBy } from './acquaintances.js';
import { type StartVerdict, startVerdict } from './first-start.js';
import type { IdentityRecord } from './identity-record.js';

/** What a start works with. */
export interface NodeStartOptions {
  readonly engine: MultiRaftEngine;
  readonly record: IdentityRecord;
  readonly acquaintances: Acquaintances;
  /** The groups of the configuration. */
  readonly placements: readonly GroupPlacement[];
  readonly log: Logger;
  /** Told when the replicas of the configuration were made. */
  readonly onBootstrapped?: () => void;
}

/** Starts one node's replicas. */
export class NodeStart {
  private refused: DwError | undefined;
  private bootstrapping = false;
  private stopped = false;

  constructor(private readonly options: NodeStartOptions) {}

  /** Why this node takes part in nothing; undefined when it does. */
  get refusal(): DwError | undefined {
    return this.refused;
  }

  /** The voters that have not said yet that they know no other storage of this node; empty once it has begun. */
  get waitingFor(): readonly string[] {
    const verdict = this.verdict();
    return verdict.kind === 'wait' ? verdict.for : [];
  }

  /** Opens what is on the disk and begins to work. @throws DwError of the storage. */
  async start(onDisk: readonly GroupPlacement[]): Promise<void> {
    const { engine, acquaintances } = this.options;
    if (this.verdict().kind === 'bootstrap') await this.bootstrap();
    await engine.start(onDisk);
    acquaintances.start();
    const missing = this.waitingFor;
    if (missing.length > 0) {
      this.options.log.info({ peers: missing }, 'the storage is new: asking the other voters before voting');
    }
    this.advance();
  }

  stop(): void {
    this.stopped = true;
    this.options.acquaintances.stop();
  }

  /** A peer knows this node under its storage and no other. */
  agreed(): void {
    this.options.engine.peerAgreed();
    this.advance();
  }

  /** A peer knows this node under another storage, or its storage as another node's. */
  denied(peer: string, cause: DwError | undefined): void {
    if (this.stopped || this.refused !== undefined) return;
    const { record, log, engine } = this.options;
    if (record.start === 'undecided' && cause === undefined) {
      log.warn(
        { peer },
        'this node had another storage and lost it: it votes in nothing until it is brought back',
      );
      this.background(async () => {
        await record.enter('returning');
        this.options.acquaintances.again();
      });
      return;
    }
    this.refused = deniedBy(record.nodeId, peer, cause);
    log.error({ peer, reason: this.refused.message }, 'the storage of this node is not its own');
    this.background(async () => {
      for (const group of engine.all()) await engine.closeGroup(group.id);
    });
  }

  private verdict(): StartVerdict {
    const { record, acquaintances } = this.options;
    return startVerdict(record.start, this.others(), (peer) => acquaintances.knownTo(peer));
  }

  private others(): readonly string[] {
    const { placements, record } = this.options;
    const mine = placements.filter(({ voters }) => voters.includes(record.nodeId));
    return [...new Set(mine.flatMap(({ voters }) => voters))].filter((id) => id !== record.nodeId).toSorted();
  }

  private advance(): void {
    if (this.stopped || this.refused !== undefined || this.verdict().kind !== 'bootstrap') return;
    this.background(() => this.bootstrap());
  }

  private async bootstrap(): Promise<void> {
    if (this.bootstrapping) return;
    this.bootstrapping = true;
    const { record, placements, engine, log } = this.options;
    // Noted first: from here on this node may have voted, and a restart goes on where this one ended.
    await record.enter('bootstrapping');
    for (const placement of placements) {
      // Groups of plugins' machines are made when the machine is there, by who may make them.
      if (!placement.voters.includes(record.nodeId) || machineOfGroup(placement.id) !== undefined) continue;
      await engine.openPlaced(placement);
    }
    await record.enter('member');
    log.info({ groups: engine.all().map(({ id }) => id) }, 'made the groups of the configuration');
    this.options.onBootstrapped?.();
  }

  private background(work: () => Promise<void>): void {
    work().catch((error: unknown) => {
      this.options.log.error(
        { reason: errorMessage(error) },
        'could not go on with the start of the replicas',
      );
    });
  }
}
