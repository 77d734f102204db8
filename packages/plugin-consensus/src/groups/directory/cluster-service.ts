// This node's part in the cluster's directory: keeps its copy, follows it (peers, groups, its own standing), and tells
// the directory what this node knows: its addresses and storage, the voters of the groups that it leads, and at the very
// beginning the directory itself. What is to be told is found by comparing, once a second and at each change, so that
// nothing depends on an event that got lost.

import type { Clock, IClusterDirectory, IPeerTransport, Logger, TimerHandle } from '@datawarehouse/sdk';
import type { IPersistentBackingStore } from '@datawarehouse/sdk';
import { errorMessage, isDwError } from '@datawarehouse/sdk';
import type { MultiRaftEngine } from '../../engine/multi-raft-engine.js';
import type { RaftGroup } from '../../engine/raft-group.js';
import { malformed, nodeRetired } from '../../errors.js';
import type { ReplicatedState } from '../../state/replicated-state.js';
import type { GroupRouter } from '../group-router.js';
import { GroupTable } from '../group-table.js';
import type { NodeReplicas } from '../node-replicas.js';
import type { GroupPlacement } from '../placement.js';
import type { DirectoryAnswer, DirectoryCommand } from './directory-command.js';
import { decodeDirectoryAnswer, encodeDirectoryCommand } from './directory-command.js';
import type { Standing } from './directory-copy.js';
import { DirectoryCopy } from './directory-copy.js';
import { directoryRefused, lastVoter } from './directory-errors.js';
import { DirectoryState } from './directory-state.js';
import { DirectorySync } from './directory-sync.js';
import type { DirectoryView, NodeAddresses } from './directory-types.js';
import { DIRECTORY_GROUP, EMPTY_DIRECTORY } from './directory-types.js';
import type { ConfiguredCluster } from './first-directory.js';
import {
  bootstrapPlacements,
  compareWithConfiguration,
  currentPlacements,
  firstDirectory,
  formerGroups,
} from './first-directory.js';
import { MemberTable } from './member-table.js';
import { MembershipController } from './membership-controller.js';
import { groupsLostWithout } from './membership-plan.js';
import type { OwnKnowledge } from './untold.js';
import { untold } from './untold.js';

const LOOK_EVERY_MS = 1_000;
const REFUSED_MS = 60_000;
/** A node that was retired serves this long, so that who asked it meanwhile gets an answer and nobody new asks. */
const RETIRED_SERVE_MS = 2_000;

/** What the service stands on. */
export interface ClusterServiceOptions {
  readonly nodeId: string;
  /** Where this node can be reached. */
  readonly addresses: NodeAddresses;
  readonly storageId: string;
  readonly transport: IPeerTransport;
  readonly cluster: IClusterDirectory;
  readonly clock: Clock;
  readonly log: Logger;
  readonly store: IPersistentBackingStore;
  /** `dw://` path of the copy of the directory. */
  readonly path: string;
  /** `dw://` path of what was kept before there was a directory. */
  readonly formerPath: string;
  /** What the configuration says of a new cluster; undefined for a node that joins a running one. */
  readonly configured: ConfiguredCluster | undefined;
}

/** What the service acts through, once it exists. */
export interface ClusterParts {
  readonly engine: Pick<MultiRaftEngine, 'all' | 'group' | 'closeGroup' | 'openPlaced'>;
  readonly router: Pick<GroupRouter, 'propose' | 'leaderChanged' | 'status'>;
  readonly replicas: Pick<NodeReplicas, 'forgetPeer' | 'members' | 'refusal' | 'startState'>;
}

/** The directory as this node lives in it. */
export class ClusterService {
  /** The groups, as the newest directory tells. */
  readonly table: GroupTable;
  private readonly members: MemberTable;
  private readonly listeners = new Set<(view: DirectoryView) => void>();
  private state: DirectoryState | undefined;
  private parts: ClusterParts | undefined;
  private sync: DirectorySync | undefined;
  private controller: MembershipController | undefined;
  private timer: TimerHandle | undefined;
  private ending: TimerHandle | undefined;
  private looking = false;
  private lookAgain = false;
  private stopped = false;
  /** What the directory refused last, and until when it is not told again. */
  private refused: { readonly what: string; readonly until: number } | undefined;

  private constructor(
    private readonly options: ClusterServiceOptions,
    private readonly copy: DirectoryCopy,
  ) {
    const { cluster, clock, log } = options;
    this.members = new MemberTable(cluster, clock, log);
    this.table = new GroupTable(currentPlacements(copy.view));
    if (copy.standing === 'retired') this.table.close(() => nodeRetired(options.nodeId));
  }

  /** Reads the copy of the directory, or makes the first one. @throws DwError `frame-malformed`, and of the store. */
  static async open(options: ClusterServiceOptions): Promise<ClusterService> {
    const { store, path, formerPath, nodeId, log, configured } = options;
    const made: { service?: ClusterService } = {};
    const copy = await DirectoryCopy.open(
      {
        store,
        path,
        nodeId,
        log,
        onAdopted: (view, before) => made.service?.adopted(view, before),
      },
      async () =>
        configured === undefined
          ? EMPTY_DIRECTORY
          : firstDirectory(configured, await formerGroups(store, formerPath)),
    );
    if (configured !== undefined) compareWithConfiguration(copy.view, configured, log);
    made.service = new ClusterService(options, copy);
    return made.service;
  }

  /** The newest directory that this node knows. */
  get view(): DirectoryView {
    return this.copy.view;
  }

  /** What this node is to the cluster. */
  get standing(): Standing {
    return this.copy.standing;
  }

  /** Makes the state of the directory's group. */
  readonly createState = (): ReplicatedState => {
    this.state = new DirectoryState((view) => {
      // Entries that are applied again after a restart are older than the copy.
      if (view.version > 0 && this.copy.offer(view)) this.look();
    });
    return this.state;
  };

  /** The groups with the voters of their beginning, as a new node makes them. */
  placements(): readonly GroupPlacement[] {
    return this.standing === 'retired' ? [] : bootstrapPlacements(this.view);
  }

  /** Begins to take part. Call it when the engine runs. @throws DwError of the storage. */
  async start(parts: ClusterParts): Promise<void> {
    const { transport, clock, log } = this.options;
    this.parts = parts;
    if (this.standing === 'retired') {
      this.members.dismissAll();
      log.warn('this node was retired: it takes part in nothing and can be stopped');
      return;
    }
    this.members.follow(this.view, EMPTY_DIRECTORY);
    this.sync = new DirectorySync(transport, clock, log, this.copy);
    this.timer = clock.setInterval(() => this.look(), LOOK_EVERY_MS);
    this.controller = this.control(parts);
    await this.openOnFormerNode(parts);
    this.look();
  }

  /** Told of each directory that took the place of another. */
  onChanged(listener: (view: DirectoryView) => void): Disposable {
    const own = (view: DirectoryView): void => listener(view);
    this.listeners.add(own);
    return { [Symbol.dispose]: () => void this.listeners.delete(own) };
  }

  /** Whether a node is being retired or is gone, as far as this node knows. */
  readonly isLeaving = (id: string): boolean => {
    const { version, nodes } = this.view;
    const node = nodes.find((one) => one.id === id);
    return node === undefined ? version > 0 : node.state === 'retiring';
  };

  /** A group of this node has another leader. */
  leaderChanged(group: RaftGroup): void {
    if (group.isLeader) this.look();
  }

  /** Whether this node leads the directory. */
  get leads(): boolean {
    return this.parts?.engine.group(DIRECTORY_GROUP)?.isLeader === true;
  }

  /**
   * Has the directory carry out a command, wherever its leader is.
   * @throws DwError of the router: it did not happen, or with `outcome-unknown` it may have. Commands can be repeated.
   */
  async submit(command: DirectoryCommand, signal?: AbortSignal): Promise<DirectoryAnswer> {
    if (this.parts === undefined || this.standing === 'retired') throw nodeRetired(this.options.nodeId);
    const bytes = encodeDirectoryCommand(command);
    const { outcome } = await this.parts.router.propose(DIRECTORY_GROUP, 'command', bytes, true, signal);
    if (outcome.status !== 'result') throw malformed('an answer of the directory', `it is ${outcome.status}`);
    return decodeDirectoryAnswer(outcome.data);
  }

  /**
   * Takes a node out of the cluster: out of all its groups first, its leaderships handed over. Resolves when it is gone,
   * or with `retiring` when that takes longer than `waitMs`; it goes on then.
   * @throws DwError `node-unknown`, `node-last`, `node-last-voter`; of {@link submit}.
   */
  async retireNode(id: string, waitMs: number, signal: AbortSignal): Promise<'retired' | 'retiring'> {
    const lost = groupsLostWithout(this.view, id, (node) => this.controller?.reachable(node) === true);
    if (lost.length > 0) throw lastVoter(id, lost);
    const answer = await this.submit({ op: 'retire', id }, signal);
    if (!answer.ok) throw directoryRefused(answer.code, answer.detail);
    const gone = (): boolean =>
      this.view.version >= answer.version && !this.view.nodes.some((node) => node.id === id);
    return (await this.until(gone, waitMs, signal)) ? 'retired' : 'retiring';
  }

  /** Waits until a node that joins is a member and knows the groups. @returns whether it is by now. */
  learned(waitMs: number): Promise<boolean> {
    return this.until(() => this.standing !== 'joining', waitMs);
  }

  /** Takes part no more. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.controller?.stop();
    this.timer?.cancel();
    this.ending?.cancel();
    this.sync?.stop();
    this.members.stop();
    await this.copy.settled();
  }

  /** Waits until the directory is as it should be, for so long, or until the signal aborts. @returns whether it is. */
  private async until(isSo: () => boolean, waitMs: number, signal?: AbortSignal): Promise<boolean> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        timer.cancel();
        listening[Symbol.dispose]();
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = this.options.clock.setTimeout(done, waitMs);
      const listening = this.onChanged(() => {
        if (isSo()) done();
      });
      signal?.addEventListener('abort', done, { once: true });
      if (isSo() || signal?.aborted === true) done();
    });
    return isSo();
  }

  private control({ router, replicas }: ClusterParts): MembershipController {
    const { cluster, clock, log } = this.options;
    return new MembershipController({
      cluster,
      clock,
      log,
      leads: () => this.leads && this.standing === 'member',
      view: () => this.view,
      submit: (command) => this.submit(command),
      change: (groupId, request) => replicas.members.change(groupId, request),
      status: (groupId) => router.status(groupId),
    });
  }

  /** A node that had its groups before there was a directory has everything on its disk but the directory's group. */
  private async openOnFormerNode({ engine, replicas }: ClusterParts): Promise<void> {
    const placement = this.placements().find(({ id }) => id === DIRECTORY_GROUP);
    if (this.view.version > 0 || placement?.voters.includes(this.options.nodeId) !== true) return;
    if (replicas.startState === 'member') await engine.openPlaced(placement);
  }

  private adopted(view: DirectoryView, before: DirectoryView): void {
    if (this.stopped) return;
    if (this.standing === 'retired') this.retire();
    else {
      this.table.replace(currentPlacements(view));
      if (this.parts !== undefined) this.follow(view, before);
    }
    for (const listener of this.listeners) listener(view);
    // Whoever waited for a group may find it now.
    this.parts?.router.leaderChanged();
  }

  private follow(view: DirectoryView, before: DirectoryView): void {
    this.members.follow(view, before);
    if (this.leads) this.sync?.tellAll();
    const members = new Set(view.nodes.map(({ id }) => id));
    for (const { id } of before.nodes) {
      if (members.has(id)) continue;
      this.parts?.replicas.forgetPeer(id).catch((error: unknown) => {
        this.options.log.error({ peer: id, reason: errorMessage(error) }, 'could not forget a removed node');
      });
    }
  }

  /** This node is no member any more: says so, serves who has asked already, and is a stranger to everybody then. */
  private retire(): void {
    if (this.ending !== undefined) return;
    const { log, clock, nodeId } = this.options;
    log.warn('this node was retired: it is no member of the cluster any more, and can be stopped');
    this.timer?.cancel();
    this.controller?.stop();
    this.ending = clock.setTimeout(() => {
      this.table.close(() => nodeRetired(nodeId));
      this.sync?.stop();
      this.members.stop();
      this.members.dismissAll();
      for (const { id } of this.parts?.engine.all() ?? []) {
        this.parts?.engine.closeGroup(id).catch((error: unknown) => {
          log.error({ group: id, reason: errorMessage(error) }, 'could not close a group of a retired node');
        });
      }
    }, RETIRED_SERVE_MS);
  }

  /** Looks what is to be told. One look at a time; what happens meanwhile is looked at after it. */
  private look(): void {
    this.lookAgain = true;
    if (this.looking || this.stopped || this.parts === undefined) return;
    this.looking = true;
    void this.lookWhileAsked(this.parts).finally(() => {
      this.looking = false;
    });
  }

  private async lookWhileAsked(parts: ClusterParts): Promise<void> {
    while (this.lookAgain && !this.stopped) {
      this.lookAgain = false;
      try {
        for (const command of untold(this.copy.view, this.own(parts))) await this.tell(command);
      } catch (error) {
        // No leader now, or too much to do: the next look tells it.
        if (!isDwError(error)) throw error;
        this.options.log.debug({ reason: error.message }, 'could not tell the directory of the cluster');
        return;
      }
    }
  }

  private own(parts: ClusterParts): OwnKnowledge {
    const { nodeId, addresses, storageId } = this.options;
    return {
      nodeId,
      addresses,
      // Whose storage it is, its peers have judged; one that is not this node's own says nothing.
      storageId: parts.replicas.refusal === undefined ? storageId : undefined,
      leadsNothing: this.leads && this.state?.view.version === 0,
      led: (id) => {
        const group = parts.engine.group(id);
        return group?.isLeader === true ? group : undefined;
      },
    };
  }

  /** Has a command carried out, unless it was refused not long ago: each try is an entry in the group's log. */
  private async tell(command: DirectoryCommand): Promise<void> {
    const { clock, log } = this.options;
    const what = JSON.stringify(command);
    if (this.refused?.what === what && clock.now() < this.refused.until) return;
    const answer = await this.submit(command);
    // Somebody else was first with making it: that is what was wanted.
    if (answer.ok || answer.code === 'directory-exists') return;
    this.refused = { what, until: clock.now() + REFUSED_MS };
    const { code, detail } = answer;
    log.error({ op: command.op, code, detail }, 'the directory refuses what this node tells of itself');
  }
}
