// The Raft core alone: three cores in one process that exchange messages in memory, with a storage that answers at once.
// What it costs to get an entry from a proposal to committed and applied on all three, without disk or network. One
// processor does the work of three nodes here, so a node of a real cluster has three times as much room.
import { pathToFileURL } from 'node:url';

import { RaftCore } from '../packages/plugin-consensus/dist/raft/raft-core.js';

const IDS = ['n1', 'n2', 'n3'];
const DATA = new Uint8Array(256);
const ROUNDS = 5;
const ROUND_MS = 600;
const CONF = {
  voters: IDS,
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  witnesses: [],
  autoLeave: false,
};
/** Entries that the storage keeps before it drops all but the last half. */
const KEPT = 65_536;

/** A log in memory that keeps only its newest part, so that the garbage collector measures the core and not the log. */
class Log {
  #entries = [];
  #first = 1;
  #snapshot = { metadata: { index: 0, term: 0, conf: CONF }, data: new Uint8Array(0) };

  initialState() {
    return { hardState: { term: 0, vote: undefined, commit: 0 }, conf: CONF };
  }
  firstIndex() {
    return this.#first;
  }
  lastIndex() {
    return this.#first + this.#entries.length - 1;
  }
  term(index) {
    if (index === this.#snapshot.metadata.index) return this.#snapshot.metadata.term;
    return this.#entries[index - this.#first]?.term;
  }
  entries(from, to) {
    return this.#entries.slice(from - this.#first, to - this.#first);
  }
  snapshot() {
    return this.#snapshot;
  }
  write(entries) {
    if (entries.length === 0) return;
    this.#entries.length = entries[0].index - this.#first;
    for (const entry of entries) this.#entries.push(entry);
  }
  compact(applied) {
    if (this.#entries.length < KEPT) return;
    const index = Math.min(applied, this.lastIndex()) - KEPT / 2;
    const metadata = { index, term: this.term(index), conf: CONF };
    this.#entries = this.#entries.slice(index + 1 - this.#first);
    this.#first = index + 1;
    this.#snapshot = { metadata, data: this.#snapshot.data };
  }
}

/** Three cores, handled in turns as an engine does: all Readies, then all messages. */
class Trio {
  constructor() {
    let seed = 1;
    const random = () => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return seed / 4_294_967_296;
    };
    this.nodes = IDS.map((id) => {
      const storage = new Log();
      const core = new RaftCore({
        id,
        storage,
        electionTicks: 10,
        heartbeatTicks: 1,
        applied: 0,
        maxBytesPerMessage: 1 << 20,
        maxCommittedBytesPerReady: 1 << 22,
        maxUncommittedBytes: 1 << 28,
        maxInflightMessages: 256,
        maxInflightBytes: 0,
        checkQuorum: true,
        preVote: true,
        random,
      });
      return { id, core, storage, inbox: [] };
    });
    this.byId = new Map(this.nodes.map((node) => [node.id, node]));
    this.leader = this.nodes[0].core;
    this.leader.campaign();
    this.settle();
    if (!this.leader.isLeader) throw new Error('no leader was elected');
  }

  send(messages) {
    for (const message of messages) this.byId.get(message.to).inbox.push(message);
  }

  handle(node) {
    const { core, storage } = node;
    const { messages, append, apply } = core.ready();
    if (messages.length > 0) this.send(messages);
    if (append !== undefined) {
      storage.write(append.entries);
      for (const response of append.responses) {
        if (response.to === node.id) core.step(response);
        else this.byId.get(response.to).inbox.push(response);
      }
    }
    if (apply !== undefined) {
      for (const response of apply.responses) core.step(response);
      storage.compact(core.applied);
    }
  }

  settle() {
    let busy = true;
    while (busy) {
      busy = false;
      for (const node of this.nodes) {
        const { inbox } = node;
        if (inbox.length > 0) {
          node.inbox = [];
          for (const message of inbox) node.core.step(message);
        }
        while (node.core.hasReady()) {
          this.handle(node);
          busy = true;
        }
      }
    }
  }
}

/** Entries a second that are committed and applied on all three, `perTurn` proposed in a turn. */
function measure(trio, perTurn, propose) {
  const batch = Array.from({ length: perTurn }, () => DATA);
  const from = trio.leader.applied;
  const started = performance.now();
  let elapsed = 0;
  while (elapsed < ROUND_MS) {
    propose(trio.leader, batch);
    trio.settle();
    elapsed = performance.now() - started;
  }
  if (trio.nodes.some(({ core }) => core.applied !== trio.leader.lastIndex))
    throw new Error('not all applied');
  return ((trio.leader.applied - from) / elapsed) * 1000;
}

/** The least that three nodes must do for an entry: make it, and copy a reference to it into three arrays, in batches. */
function probe(perTurn) {
  const logs = IDS.map(() => []);
  const started = performance.now();
  let count = 0;
  let elapsed = 0;
  while (elapsed < ROUND_MS / 4) {
    const entries = Array.from({ length: perTurn }, () => ({
      term: 1,
      index: ++count,
      type: 'normal',
      data: DATA,
    }));
    for (const log of logs) {
      for (const entry of entries) log.push(entry);
      if (log.length > KEPT) log.length = 0;
    }
    elapsed = performance.now() - started;
  }
  return (count / elapsed) * 1000;
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const asBatch = (core, datas) => core.proposeBatch(datas);
const oneByOne = (core, datas) => {
  for (const data of datas) core.propose(data);
};

/** Measures the core. */
export async function run() {
  const cases = [
    { name: '1 proposal a turn', perTurn: 1, propose: asBatch, target: 0.05 },
    { name: '16 proposals a turn, one append', perTurn: 16, propose: asBatch, target: 0.12 },
    { name: '256 proposals a turn, one append', perTurn: 256, propose: asBatch, target: 0.17 },
    { name: '256 proposals a turn, one append each', perTurn: 256, propose: oneByOne, target: 0.03 },
    { name: '4096 proposals in flight, one append', perTurn: 4_096, propose: asBatch, atLeast: 200_000 },
    {
      name: '4096 proposals in flight, each on its own',
      perTurn: 4_096,
      propose: oneByOne,
      atLeast: 200_000,
    },
  ];
  const rows = [];
  for (const { name, perTurn, propose, target, atLeast } of cases) {
    const trio = new Trio();
    measure(trio, perTurn, propose);
    const values = [];
    const probes = [];
    for (let round = 0; round < ROUNDS; round++) {
      values.push(measure(trio, perTurn, propose));
      probes.push(probe(perTurn));
    }
    const value = median(values);
    const beside = median(probes);
    rows.push({
      name,
      value,
      unit: 'entries/s',
      beside: `${Number(beside.toPrecision(3))} entries/s: made and put into three arrays, nothing else`,
      ratio: value / beside,
      target: atLeast === undefined ? `≥ ${target}` : `≥ ${atLeast} entries/s`,
      ok: atLeast === undefined ? value / beside >= target : value >= atLeast,
    });
  }
  return { title: 'Raft core: three cores in one process, committed and applied on all', rows };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { print } = await import('./table.mjs');
  print(await run());
}
