// A plugin's state machine as a state that the engine replicates. It watches what the machine does wrong and would make
// replicas differ without anybody noticing: answers that are promises, or no bytes.

import type { AppliedEntry, IDiskStateMachine, IStateMachine } from '@datawarehouse/sdk';
import { crc32, errorMessage, isDwError } from '@datawarehouse/sdk';
import { ByteReader } from '../codec/byte-reader.js';
import { ByteWriter } from '../codec/byte-writer.js';
import { ChunkQueue } from './chunk-queue.js';
import { queryFailed, queryUnsupported, stateMachineMisbehaved } from '../state/errors.js';
import type { Outcome } from '../state/outcome.js';
import { MAX_RESULT_BYTES } from '../state/outcome.js';
import type { ReplicatedState, StateDisk, StateRestorer } from '../state/replicated-state.js';
import type { HashPair } from '../state/state-hash.js';
import { ZERO_HASH, addHash, formatHash, hashRecord, hashText } from '../state/state-hash.js';

const HEADER_BYTES = 8;
const ANSWER = 3;
const EMPTY = new Uint8Array(0);
const NO_ANSWER: Outcome = { status: 'result', data: EMPTY };

/** Runs an {@link IStateMachine} as the state of a group. */
export class PluginState implements ReplicatedState {
  /**
   * Sum of the hashes of all answers so far: replicas whose machines answered differently are told apart by it, even
   * when the machine has no hash of its own. It is part of the snapshot.
   */
  private answers: HashPair = ZERO_HASH;

  readonly disk: StateDisk | undefined;

  constructor(
    private readonly name: string,
    readonly machine: IStateMachine,
  ) {
    this.disk = diskOf(name, machine);
  }

  apply(entry: AppliedEntry): Outcome {
    const answer: unknown = this.machine.apply(entry);
    if (answer === undefined) return NO_ANSWER;
    if (!(answer instanceof Uint8Array)) {
      const what = isThenable(answer) ? 'a promise: it must be done when it returns' : `a ${typeof answer}`;
      throw stateMachineMisbehaved(this.name, `apply returned ${what}`);
    }
    if (answer.length > MAX_RESULT_BYTES) {
      const size = `${answer.length} bytes; ${MAX_RESULT_BYTES} are the most`;
      throw stateMachineMisbehaved(this.name, `apply returned ${size}`);
    }
    // A copy: the machine may use its buffer again, and the answer is remembered for retries.
    const data = answer.length === 0 ? EMPTY : Uint8Array.from(answer);
    // What a machine with its own storage answered before a restart is not known after it.
    if (this.disk === undefined)
      this.answers = addHash(this.answers, hashRecord(ANSWER, '', entry.index, crc32(data)));
    return { status: 'result', data };
  }

  snapshot(): Iterable<Uint8Array> {
    // Not a generator: the machine must be asked now, not when the first chunk is pulled.
    return framed(this.answers, this.machine.snapshot());
  }

  beginRestore(index: number): StateRestorer {
    const queue = new ChunkQueue();
    let head = Buffer.alloc(0);
    let ended = false;
    const restored = Promise.resolve()
      .then(() => this.machine.restore(queue, index))
      .then(() => {
        if (!ended) throw stateMachineMisbehaved(this.name, 'restore was done before it had all chunks');
      })
      .catch((error: unknown) => {
        queue.fail(error);
        throw error;
      });
    // Whoever pushes or finishes hears of a failure.
    restored.catch(() => undefined);
    return {
      push: async (chunk) => {
        let rest = chunk;
        if (head.length < HEADER_BYTES) {
          const missing = HEADER_BYTES - head.length;
          head = Buffer.concat([head, chunk.subarray(0, missing)]);
          rest = chunk.subarray(missing);
        }
        if (rest.length > 0) await queue.push(rest);
      },
      finish: async () => {
        const reader = new ByteReader(head, 'the snapshot of a state machine');
        const answers = { a: reader.u32(), b: reader.u32() };
        ended = true;
        queue.end();
        await restored;
        this.answers = answers;
      },
      abort: (error) => queue.fail(error),
    };
  }

  stateHash(appliedIndex: number): string {
    const own = this.ownHash();
    if (own === undefined) return formatHash(this.answers, appliedIndex);
    return formatHash(addHash(this.answers, hashRecord(ANSWER, own, 0, hashText(own))), appliedIndex);
  }

  /** Asks the machine. @throws DwError `query-unsupported`, `query-failed`, or the machine's own. */
  query(request: Uint8Array): Uint8Array {
    const { machine, name } = this;
    if (machine.query === undefined) throw queryUnsupported(name);
    let answer: unknown;
    try {
      answer = machine.query(request);
    } catch (error) {
      throw isDwError(error) ? error : queryFailed(name, error);
    }
    if (answer instanceof Uint8Array) return answer;
    throw queryFailed(
      name,
      new Error(`it returned ${isThenable(answer) ? 'a promise' : `a ${typeof answer}`}`),
    );
  }

  private ownHash(): string | undefined {
    try {
      return this.machine.stateHash?.();
    } catch (error) {
      throw stateMachineMisbehaved(this.name, `stateHash threw: ${errorMessage(error)}`);
    }
  }

  async close(): Promise<void> {
    await this.machine.closeAsync?.();
  }
}

function* framed(answers: HashPair, chunks: Iterable<Uint8Array>): Generator<Uint8Array> {
  const writer = new ByteWriter(HEADER_BYTES);
  writer.u32(answers.a);
  writer.u32(answers.b);
  yield writer.finish();
  yield* chunks;
}

/** The storage of a machine that has its own. */
function diskOf(name: string, machine: IStateMachine): StateDisk | undefined {
  const { openAsync, syncAsync } = machine as Partial<IDiskStateMachine>;
  if (openAsync === undefined && syncAsync === undefined) return undefined;
  if (openAsync === undefined || syncAsync === undefined) {
    throw stateMachineMisbehaved(name, 'it has one of openAsync and syncAsync and not the other');
  }
  return {
    open: async () => {
      const index: unknown = await openAsync.call(machine);
      if (typeof index === 'number' && Number.isSafeInteger(index) && index >= 0) return index;
      throw stateMachineMisbehaved(name, `openAsync resolved with ${String(index)}, which is no index`);
    },
    sync: () => syncAsync.call(machine),
  };
}

function isThenable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'then' in value;
}
