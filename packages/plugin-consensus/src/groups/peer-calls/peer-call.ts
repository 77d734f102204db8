// One request to another node under a policy, whatever the policy is made of: an operator may put a retry, a hedge, chaos
// or a fallback into it. What must hold all the same: what may not be repeated is sent once at most unless it was
// certainly not delivered; an answer is one that the peer gave; and once a request may have been handled, no refusal of
// the policy makes it one that was not.

import type { DwError, IResiliencePolicy } from '@datawarehouse/sdk';
import { errorMessage, isDwError } from '@datawarehouse/sdk';
import { answerNotOfPeer, requestNotMade, requestRepeated } from './errors.js';

/** A request to a peer. */
export interface PeerRequest<T> {
  readonly peer: string;
  /** Sends it once. A function without parameters is spared the making of a signal. */
  readonly send: (signal: AbortSignal) => Promise<T>;
  /** Whether it does no harm when it is sent twice. */
  readonly repeatable: boolean;
  /** The error for a request that may have been handled, though no answer came. */
  readonly lost: (why: string) => DwError;
  /** Gives it up. */
  readonly signal?: AbortSignal | undefined;
}

/** Errors after which the peer may have handled the request all the same. */
const LEAVES_OPEN: ReadonlySet<string> = new Set([
  'answer-lost',
  'answer-overdue',
  'frame-malformed',
  'outcome-unknown',
  'peer-disconnected',
  'peer-timeout',
]);

/** What leaves it open when the peer answered, and the policy ended with something else all the same. */
const ANSWERED = new Error('the peer has answered, and the policy did not use the answer');

/** Marks what the peer answered, so that nothing else is taken for it. */
class Answer<T> {
  constructor(readonly value: T) {}
}

/** One request under a policy. */
export class PeerCall<T> {
  /** Times that it was sent. */
  sent = 0;
  /** What the policy runs. */
  readonly action: (signal: AbortSignal) => Promise<Answer<T>>;
  private running = 0;
  private closed = false;
  /** Why it may have been handled, though what came last may say otherwise. */
  private open: unknown = undefined;
  private last: unknown = undefined;

  constructor(private readonly request: PeerRequest<T>) {
    this.action =
      request.send.length === 0
        ? () => this.run(undefined as unknown as AbortSignal)
        : (signal) => this.run(signal);
  }

  /** Nobody waits for it any more: it must not be sent from now on. */
  close(): void {
    this.closed = true;
  }

  /** @throws DwError of the request, or of the policy when it was certainly not handled. */
  async under(policy: IResiliencePolicy, identity: string): Promise<T> {
    const { peer, signal } = this.request;
    let given: unknown;
    try {
      // An identity of its own: no request stands for another.
      given = await policy.execute<unknown>(
        this.action,
        signal === undefined ? { key: peer, identity } : { key: peer, identity, signal },
      );
    } catch (error) {
      throw this.verdict(error);
    }
    if (given instanceof Answer) return given.value as T;
    throw this.verdict(answerNotOfPeer(peer));
  }

  private async run(signal: AbortSignal): Promise<Answer<T>> {
    const { request } = this;
    const again = this.sent > 0 && !request.repeatable && (this.running > 0 || this.open !== undefined);
    if (this.closed) throw requestNotMade(request.peer);
    if (again) throw requestRepeated(request.peer);
    this.sent++;
    this.running++;
    try {
      const answer = new Answer(await request.send(signal));
      this.open ??= ANSWERED;
      return answer;
    } catch (error) {
      this.last = error;
      // What was told to give up may have been sent by then.
      if (signal?.aborted || (isDwError(error) && LEAVES_OPEN.has(error.code))) this.open ??= error;
      throw error;
    } finally {
      this.running--;
    }
  }

  /** What the caller is told when the policy ends with `error`. */
  private verdict(error: unknown): unknown {
    const { lost, repeatable, signal } = this.request;
    if (signal?.aborted === true && error === signal.reason) return error;
    if (this.sent === 0) return this.notHandled(error);
    const heard = error === this.last;
    if (heard && (repeatable || this.open === undefined)) return error;
    if (this.open !== undefined) {
      return isDwError(this.open) && LEAVES_OPEN.has(this.open.code)
        ? this.open
        : lost(errorMessage(this.open));
    }
    // The policy gave it up while it was under way.
    if (this.running > 0) return lost(errorMessage(error));
    return this.notHandled(error);
  }

  /** The policy's own time limit cannot know that nothing was delivered, and says that it may have been. */
  private notHandled(error: unknown): unknown {
    if (!isDwError(error, 'call-timeout')) return error;
    this.close();
    return requestNotMade(this.request.peer);
  }
}
