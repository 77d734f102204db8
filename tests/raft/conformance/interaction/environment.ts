// All nodes of a file, the messages between them, and the moves by which they are driven. Nothing happens here by
// itself: every step is a command of the file.

import type { Message, MessageType, NodeId } from '#consensus/raft/types.js';
import { UsageError } from '../suite.js';
import { describeAppend, describeApply, describeMessage } from './describe.js';
import { textOfStepError } from './errors.js';
import { HarnessNode, type NodeSetup } from './node.js';
import { Output } from './output.js';

/** Rounds of `stabilize` after which something is going round in circles. */
const maxRounds = 10_000;

/** Kinds that answer something; upstream takes them from members only. */
const answers: ReadonlySet<MessageType> = new Set<MessageType>([
  'append-response',
  'vote-response',
  'heartbeat-response',
  'unreachable',
  'read-index-response',
  'pre-vote-response',
]);

/** Whom messages are delivered to, or taken away from. */
export interface Recipient {
  readonly id: NodeId;
  readonly drop: boolean;
}

/** Nodes, messages, output. */
export class Environment {
  nodes: HarnessNode[] = [];
  readonly output = new Output();
  /** In flight, oldest first. */
  messages: Message[] = [];
  /** Copies of messages that were in flight, to be delivered once more. */
  copies: readonly Message[] = [];
  /** Nodes that nothing reaches and that reach nobody. */
  readonly #isolated = new Set<NodeId>();

  /** Forgets everything. */
  reset(): void {
    this.nodes = [];
    this.messages = [];
    this.copies = [];
    this.#isolated.clear();
    this.output.level = 'DEBUG';
  }

  node(id: string): HarnessNode {
    const node = this.nodes.find((each) => each.id === id);
    if (node === undefined) throw new UsageError(`there is no node ${id}`);
    return node;
  }

  async addNodes(count: number, setup: NodeSetup): Promise<void> {
    for (let i = 0; i < count; i++) {
      this.nodes.push(await HarnessNode.start(String(this.nodes.length + 1), setup));
    }
  }

  /** Cuts a node off, or connects it again. What is on its way to or from it is lost. */
  isolate(id: NodeId, cut: boolean): void {
    if (cut) this.#isolated.add(id);
    else this.#isolated.delete(id);
    this.messages = this.messages.filter((message) => this.#reaches(message));
  }

  /** Ends a node's process. */
  crash(node: HarnessNode): void {
    node.crash();
    this.messages = this.messages.filter((message) => this.#reaches(message));
  }

  /** Puts messages in flight; those that cannot arrive are lost. */
  send(messages: readonly Message[]): void {
    this.messages.push(...messages.filter((message) => this.#reaches(message)));
  }

  /** Messages to nodes that are not made yet wait for them. */
  #reaches({ from, to }: Message): boolean {
    if (from !== to && (this.#isolated.has(from) || this.#isolated.has(to))) return false;
    return this.nodes.find((node) => node.id === to)?.running !== false;
  }

  /** Handles one Ready of a node. */
  async processReady(node: HarnessNode): Promise<void> {
    const { text, sent } = await node.handleReady();
    this.output.write(text);
    this.send(sent);
  }

  /** Writes what a node handed out first, and sends what was waiting for that. */
  async processAppend(node: HarnessNode): Promise<void> {
    const work = node.appendWork.shift();
    if (work === undefined) {
      this.output.write('no append work to perform');
      return;
    }
    this.#show(describeAppend(node.id, { ...work, responses: [] }), work.responses);
    await node.write(work);
    this.send(work.responses);
  }

  /** Applies what a node handed out first. */
  processApply(node: HarnessNode): void {
    const work = node.applyWork.shift();
    if (work === undefined) {
      this.output.write('no apply work to perform');
      return;
    }
    this.#show(describeApply(node.id, { ...work, responses: [] }), work.responses);
    node.apply(work);
    this.send(work.responses);
  }

  #show(work: string, responses: readonly Message[]): void {
    this.output.writeLine(`Processing:\n${work}`);
    this.output.writeLine(['Responses:', ...responses.map(describeMessage)].join('\n'));
  }

  /** Delivers or drops what is in flight; returns how many messages that were. */
  deliver(recipients: readonly Recipient[], type: MessageType | undefined): number {
    let count = 0;
    for (const { id, drop } of recipients) {
      const chosen = this.messages.filter((message) => isFor(message, id, type, drop));
      this.messages = this.messages.filter((message) => !chosen.includes(message));
      count += chosen.length;
      for (const message of chosen) {
        this.output.writeLine(`${drop ? 'dropped: ' : ''}${describeMessage(message)}`);
        if (!drop) this.#receive(this.node(id), message);
      }
    }
    return count;
  }

  /** Whether two nodes can talk. */
  connected(a: HarnessNode, b: HarnessNode): boolean {
    return a.running && b.running && !this.#isolated.has(a.id) && !this.#isolated.has(b.id);
  }

  #receive(node: HarnessNode, message: Message): void {
    const from = this.nodes.find((each) => each.id === message.from);
    if (from !== undefined && !node.met.has(from.id)) node.met.set(from.id, from.disk);
    if (answers.has(message.type) && !node.members.has(message.from)) {
      this.output.writeLine('raft: cannot step as peer not found');
      return;
    }
    try {
      node.core.step(message);
    } catch (error) {
      this.output.writeLine(textOfStepError(error));
    }
  }

  /** Lets nodes work until nothing changes any more. */
  async stabilize(nodes: readonly HarnessNode[]): Promise<void> {
    for (let round = 0; round < maxRounds; round++) if (!(await this.#round(nodes))) return;
    throw new Error(`the nodes do not come to rest within ${maxRounds} rounds`);
  }

  /** One round; whether anything happened. */
  async #round(nodes: readonly HarnessNode[]): Promise<boolean> {
    let busy = false;
    const each = async (
      wants: (node: HarnessNode) => boolean,
      title: string,
      act: (node: HarnessNode) => void | Promise<void>,
    ): Promise<void> => {
      for (const node of nodes) {
        if (!wants(node)) continue;
        busy = true;
        this.output.writeLine(`> ${node.id} ${title}`);
        await this.output.indented(() => act(node));
      }
    };
    await each(
      (node) => node.running && node.core.hasReady(),
      'handling Ready',
      (node) => this.processReady(node),
    );
    await each(
      (node) => this.messages.some((message) => isFor(message, node.id, undefined, false)),
      'receiving messages',
      (node) => {
        this.deliver([{ id: node.id, drop: false }], undefined);
      },
    );
    await each(
      (node) => node.appendWork.length > 0 && !node.diskStalled,
      'processing append thread',
      async (node) => {
        while (node.appendWork.length > 0) await this.processAppend(node);
      },
    );
    await each(
      (node) => node.applyWork.length > 0,
      'processing apply thread',
      (node) => {
        while (node.applyWork.length > 0) this.processApply(node);
      },
    );
    return busy;
  }
}

/** What a node says to itself does not get lost on the way. */
function isFor(message: Message, id: NodeId, type: MessageType | undefined, drop: boolean): boolean {
  if (message.to !== id || (type !== undefined && message.type !== type)) return false;
  return !(drop && message.from === message.to);
}
