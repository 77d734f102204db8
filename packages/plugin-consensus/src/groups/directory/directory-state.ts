// The state machine of the directory: who the nodes are and which groups there are. Deterministic and bounded; a command
// that cannot be done changes nothing and answers why. Nodes, groups and views are never changed in place, so that a
// view is a snapshot.
//
//   join ──▶ new ──keep──▶ member ──retire──▶ retiring ──remove──▶ (gone; its storage is remembered as retired)
//             └───────retire──▲─────keep──────────┘

import type { AppliedEntry } from '@datawarehouse/sdk';
import { crc32, isDwError } from '@datawarehouse/sdk';
import type { HashPair } from '../../state/state-hash.js';
import { addHash, formatHash, hashRecord } from '../../state/state-hash.js';
import { byId, DirectoryDecoder, encodeDirectory } from './directory-codec.js';
import type { DirectoryAnswer, DirectoryCommand, DirectoryRefusal } from './directory-command.js';
import { decodeDirectoryCommand, encodeDirectoryAnswer } from './directory-command.js';
import type {
  DirectoryGroup,
  DirectoryNode,
  DirectoryView,
  NodeAddresses,
  RetiredNode,
} from './directory-types.js';
import { EMPTY_DIRECTORY, MAX_GROUPS, MAX_NODES, MAX_RETIRED } from './directory-types.js';

type Command<Op extends DirectoryCommand['op']> = Extract<DirectoryCommand, { readonly op: Op }>;
/** What a command does: the directory after it and the node it is about, or why it does nothing. */
type Change =
  | { readonly next: DirectoryView; readonly node?: DirectoryNode | undefined }
  | { readonly code: DirectoryRefusal; readonly detail: string };

/** The directory's state. */
export class DirectoryState {
  private current: DirectoryView = EMPTY_DIRECTORY;
  /** Hashes of the parts, which never change: only those of new parts are worked out. */
  private readonly hashes = new WeakMap<object, HashPair>();

  /** @param onChanged Told after each change and restore. It must neither throw nor change the state. */
  constructor(private readonly onChanged: (view: DirectoryView) => void = () => {}) {}

  /** The directory. Never changed in place. */
  get view(): DirectoryView {
    return this.current;
  }

  /** Applies a command. Never throws: what is no command is refused. */
  apply({ data }: AppliedEntry): { readonly status: 'result'; readonly data: Uint8Array } {
    return { status: 'result', data: encodeDirectoryAnswer(this.answer(data)) };
  }

  /** The whole state as of this call. */
  snapshot(): Iterable<Uint8Array> {
    return encodeDirectory(this.current);
  }

  /** Builds another state; `finish` puts it in this one's place. Both throw DwError `frame-malformed`. */
  beginRestore(): { push(chunk: Uint8Array): void; finish(): void } {
    const decoder = new DirectoryDecoder();
    return {
      push: (chunk) => decoder.push(chunk),
      finish: () => this.replace(decoder.finish()),
    };
  }

  /** Equal on replicas that have applied the same entries. */
  stateHash(appliedIndex: number): string {
    const { version, votersPerGroup, nodes, groups, retired } = this.current;
    let sum = hashRecord(4, '', version, votersPerGroup);
    for (const part of [...nodes, ...groups, ...retired]) sum = addHash(sum, this.hashOf(part));
    return formatHash(sum, appliedIndex);
  }

  private hashOf(part: DirectoryNode | DirectoryGroup | RetiredNode): HashPair {
    const known = this.hashes.get(part);
    if (known !== undefined) return known;
    const hash = hashRecord(5, part.id, 0, crc32(Buffer.from(JSON.stringify(part))));
    this.hashes.set(part, hash);
    return hash;
  }

  private replace(view: DirectoryView): void {
    this.current = view;
    this.onChanged(view);
  }

  private answer(data: Uint8Array): DirectoryAnswer {
    let command: DirectoryCommand;
    try {
      command = decodeDirectoryCommand(data);
    } catch (error) {
      if (!isDwError(error, 'frame-malformed')) throw error;
      const { version } = this.current;
      return { ok: false, version, code: 'command-malformed', detail: error.message };
    }
    const change = changeBy(this.current, command);
    if ('code' in change) return { ok: false, version: this.current.version, ...change };
    if (change.next !== this.current) {
      this.replace({ ...change.next, version: change.next.version + 1 });
    }
    return { ok: true, version: this.current.version, node: change.node ?? null };
  }
}

function changeBy(view: DirectoryView, command: DirectoryCommand): Change {
  if (command.op === 'create') return create(view, command);
  if (view.version === 0) return { code: 'directory-empty', detail: 'nobody has made the directory yet' };
  switch (command.op) {
    case 'join':
      return join(view, command);
    case 'announce':
      return announce(view, command);
    case 'retire':
    case 'keep':
      return mark(view, command);
    case 'remove':
      return remove(view, command);
    case 'add-group':
      return addGroup(view, command);
    case 'voters':
      return setVoters(view, command);
  }
}

/** What was made first counts: every later attempt changes nothing. Versions rise also over a directory that was lost. */
function create(view: DirectoryView, command: Command<'create'>): Change {
  if (view.version > 0) return { code: 'directory-exists', detail: `it is at version ${view.version}` };
  const { after, votersPerGroup, nodes, groups, retired } = command;
  return { next: { version: after, votersPerGroup, nodes: nodes.toSorted(byId), groups, retired } };
}

/**
 * The same node asking again, as after a lost answer, gets the same answer. An id that belongs to a node with other
 * addresses is taken, and so is an address that belongs to another id.
 */
function join(view: DirectoryView, { id, peer, http, client }: Command<'join'>): Change {
  const addresses = { peer, http, client };
  const known = view.nodes.find((node) => (id === null ? sameAddresses(node, addresses) : node.id === id));
  if (known !== undefined) {
    if (sameAddresses(known, addresses) && known.state !== 'retiring') return { next: view, node: known };
    const detail = `${known.id} is ${known.state === 'retiring' ? 'retiring' : `at ${shownAt(known)}`}`;
    return { code: 'node-id-taken', detail };
  }
  const collision = holderOf(view, addresses, undefined);
  if (collision !== undefined) return collision;
  if (view.nodes.length >= MAX_NODES) return { code: 'directory-full', detail: `${MAX_NODES} nodes` };
  const node: DirectoryNode = { id: id ?? nextId(view), ...addresses, state: 'new', storageId: null };
  return { next: { ...view, nodes: [...view.nodes, node].sort(byId) }, node };
}

function announce(view: DirectoryView, command: Command<'announce'>): Change {
  const { id, storageId, replaces, peer, http, client } = command;
  const known = view.nodes.find((node) => node.id === id);
  if (known === undefined) return { code: 'node-unknown', detail: id };
  if (view.retired.some((retired) => retired.storageId === storageId)) {
    return { code: 'storage-retired', detail: storageId };
  }
  if (known.storageId !== null && known.storageId !== storageId && known.storageId !== replaces) {
    return { code: 'storage-known', detail: known.storageId };
  }
  const addresses = { peer, http, client };
  if (sameAddresses(known, addresses) && known.storageId === storageId) return { next: view, node: known };
  const collision = holderOf(view, addresses, id);
  if (collision !== undefined) return collision;
  return withNode(view, { ...known, ...addresses, storageId });
}

function mark(view: DirectoryView, { op, id }: Command<'retire' | 'keep'>): Change {
  const known = view.nodes.find((node) => node.id === id);
  if (known === undefined) return { code: 'node-unknown', detail: id };
  const state = op === 'retire' ? 'retiring' : 'member';
  if (known.state === state) return { next: view, node: known };
  const staying = view.nodes.some((node) => node.id !== id && node.state !== 'retiring');
  if (op === 'retire' && !staying) return { code: 'node-last', detail: `${id} is the last node that stays` };
  return withNode(view, { ...known, state });
}

function remove(view: DirectoryView, { id }: Command<'remove'>): Change {
  const known = view.nodes.find((node) => node.id === id);
  if (known === undefined) return { code: 'node-unknown', detail: id };
  if (known.state !== 'retiring') return { code: 'node-not-retiring', detail: id };
  const voting = view.groups.find(({ voters }) => voters.includes(id));
  if (voting !== undefined) return { code: 'node-votes', detail: `${id} votes in ${voting.id}` };
  const { storageId } = known;
  const retired =
    storageId === null ? view.retired : [...view.retired, { id, storageId }].slice(-MAX_RETIRED);
  return { next: { ...view, nodes: view.nodes.filter((node) => node.id !== id), retired } };
}

function addGroup(view: DirectoryView, { group }: Command<'add-group'>): Change {
  const known = view.groups.find(({ id }) => id === group.id);
  if (known !== undefined) {
    const same = known.machine === group.machine && known.bootstrap.join() === group.bootstrap.join();
    return same ? { next: view } : { code: 'group-exists', detail: `${group.id} runs ${known.machine}` };
  }
  if (view.groups.length >= MAX_GROUPS) return { code: 'directory-full', detail: `${MAX_GROUPS} groups` };
  const storages: string[] = [];
  for (const voter of group.bootstrap) {
    const node = view.nodes.find(({ id }) => id === voter);
    if (node === undefined) return { code: 'node-unknown', detail: voter };
    if (node.storageId === null) return { code: 'storage-unknown', detail: voter };
    storages.push(node.storageId);
  }
  return { next: { ...view, groups: [...view.groups, { ...group, storages }] } };
}

/** Leaders tell the voters of their groups; one who is late must not undo what a later one told. */
function setVoters(view: DirectoryView, { id, voters, index }: Command<'voters'>): Change {
  const known = view.groups.find((group) => group.id === id);
  if (known === undefined) return { code: 'group-unknown', detail: id };
  if (index <= known.votersAt || voters.join() === known.voters.join()) return { next: view };
  const next: DirectoryGroup = { ...known, voters, votersAt: index };
  return { next: { ...view, groups: view.groups.map((group) => (group.id === id ? next : group)) } };
}

function withNode(view: DirectoryView, node: DirectoryNode): Change {
  return { next: { ...view, nodes: view.nodes.map((other) => (other.id === node.id ? node : other)) }, node };
}

function sameAddresses(a: NodeAddresses, b: NodeAddresses): boolean {
  return a.peer === b.peer && a.http === b.http && a.client === b.client;
}

function shownAt({ peer, http }: NodeAddresses): string {
  return http === null ? peer : `${peer} and ${http}`;
}

/** A refusal when another node than `own` has one of these addresses. */
function holderOf(
  view: DirectoryView,
  addresses: NodeAddresses,
  own: string | undefined,
): Change | undefined {
  for (const node of view.nodes) {
    if (node.id === own) continue;
    const taken = (['peer', 'http', 'client'] as const).some(
      (name) => addresses[name] !== null && addresses[name] === node[name],
    );
    if (taken) return { code: 'node-address-taken', detail: `${node.id} is at ${shownAt(node)}` };
  }
  return undefined;
}

/** `n` and the lowest number above all that are in use, so that a retired node's name is not taken at once. */
function nextId({ nodes, retired }: DirectoryView): string {
  const numbers = [...nodes, ...retired].map(({ id }) => Number(/^n(\d{1,9})$/.exec(id)?.[1] ?? 0));
  return `n${Math.max(0, ...numbers) + 1}`;
}
