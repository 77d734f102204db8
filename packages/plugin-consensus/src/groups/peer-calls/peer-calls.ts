// The one place where requests to other nodes meet the policy that an operator sees and changes: `peer-rpc`, with the
// peer as the key. Raft's own messages do not come here; they have their own way of coping. Where nobody provides
// policies, requests go out as they are; a plugin that provides them may come, go and come again at any time.

import type {
  Clock,
  DwError,
  IPeerTransport,
  IResilience,
  IResiliencePolicy,
  PeerRequestOptions,
} from '@datawarehouse/sdk';
import { DwError as Failure, isDwError } from '@datawarehouse/sdk';
import { requestNotMade } from './errors.js';
import type { PeerRequest } from './peer-call.js';
import { PeerCall } from './peer-call.js';

/** Name of the policy. */
export const PEER_POLICY = 'peer-rpc';
/** Without a policy, how long until it is looked for again. */
const LOOK_AGAIN_MS = 1_000;
/** What a transport waits for an answer unless it is told otherwise. */
const TRANSPORT_TIMEOUT_MS = 5_000;
/** What says that there is no such policy, or nobody who gives any, now. */
const NO_POLICY: ReadonlySet<string> = new Set(['policy-unknown', 'service-gone', 'context-closed']);
/** What says that who gives them is stopping: the policy can be found still, and takes no calls. */
const STOPPING: ReadonlySet<string> = new Set(['resilience-stopping', 'resilience-stopped']);

/** Requests to other nodes. */
export class PeerCalls {
  private policy: IResiliencePolicy | undefined;
  private lookAt = -Infinity;
  private serial = 0;

  /** @param find The policies of this node, if anybody provides them now. */
  constructor(
    private readonly find: () => IResilience | undefined,
    private readonly clock: Clock,
  ) {}

  /**
   * Makes a request, once at most unless it is repeatable.
   * @param deadline Clock time at which it is given up if it is still waiting for its turn.
   * @throws what the request fails with. A rejection of the policy says that it was not handled; when it may have been,
   * the error is that of {@link PeerRequest.lost} or an earlier one of the request that says so.
   */
  call<T>(request: PeerRequest<T>, deadline: number): Promise<T> {
    const policy = this.current();
    return policy === undefined
      ? request.send(request.signal ?? NEVER)
      : this.under(policy, request, deadline);
  }

  /** `transport` with its requests made here; each is sent once at most. */
  over(transport: IPeerTransport): IPeerTransport {
    const request = (
      peer: string,
      channel: string,
      payload: Uint8Array | readonly Uint8Array[],
      options: PeerRequestOptions = {},
    ): Promise<Buffer> => {
      if (this.current() === undefined) return transport.request(peer, channel, payload, options);
      const { timeoutMs = TRANSPORT_TIMEOUT_MS, signal } = options;
      return this.call(
        {
          peer,
          send: (given) => transport.request(peer, channel, payload, { ...options, signal: given }),
          repeatable: false,
          lost: (why) => requestGivenUp(peer, why),
          signal,
        },
        this.clock.now() + timeoutMs,
      );
    };
    return {
      localId: transport.localId,
      request,
      peers: () => transport.peers(),
      send: (peer, channel, payload, lane) => transport.send(peer, channel, payload, lane),
      drained: (peer, lane, signal) => transport.drained(peer, lane, signal),
      handle: (channel, handler) => transport.handle(channel, handler),
      onPeerStateChanged: (listener) => transport.onPeerStateChanged(listener),
    };
  }

  private async under<T>(policy: IResiliencePolicy, request: PeerRequest<T>, deadline: number): Promise<T> {
    const call = new PeerCall(request);
    const made = call.under(policy, String(++this.serial));
    // It is sent within the call, unless the policy lets it wait: then its time may be over first.
    const result = call.sent > 0 ? made : this.inTime(call, made, request.peer, deadline);
    try {
      return await result;
    } catch (error) {
      if (call.sent > 0 || !isDwError(error)) throw error;
      if (STOPPING.has(error.code)) {
        this.policy = undefined;
        this.lookAt = this.clock.now() + LOOK_AGAIN_MS;
        return request.send(request.signal ?? NEVER);
      }
      if (!NO_POLICY.has(error.code)) throw error;
      // The policy was removed, or its plugin stopped.
      this.policy = undefined;
      this.lookAt = -Infinity;
      const other = this.current();
      if (other === undefined || other === policy) return request.send(request.signal ?? NEVER);
      return call.under(other, String(++this.serial));
    }
  }

  private inTime<T>(call: PeerCall<T>, made: Promise<T>, peer: string, deadline: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = this.clock.setTimeout(
        () => {
          if (call.sent > 0) return;
          call.close();
          reject(requestNotMade(peer));
        },
        Math.max(0, deadline - this.clock.now()),
      );
      const settled = (settle: () => void): void => {
        timer.cancel();
        settle();
      };
      made.then(
        (value) => settled(() => resolve(value)),
        (error: unknown) => settled(() => reject(error)),
      );
    });
  }

  /** The policy now. On the hot path: it is kept until it says that it is no more. */
  private current(): IResiliencePolicy | undefined {
    if (this.policy !== undefined) return this.policy;
    const now = this.clock.now();
    if (now < this.lookAt) return undefined;
    this.lookAt = now + LOOK_AGAIN_MS;
    try {
      this.policy = this.find()?.policy(PEER_POLICY);
    } catch (error) {
      if (!isDwError(error) || !NO_POLICY.has(error.code)) throw error;
    }
    return this.policy;
  }
}

/** For requests that nobody gives up. */
const NEVER = new AbortController().signal;

/** In the terms of the transport: no answer came in time, and it may have been handled. */
function requestGivenUp(peer: string, why: string): DwError {
  return new Failure({
    code: 'peer-timeout',
    message: `No answer came from ${peer}, and it is not waited for any more: ${why}`,
    retryable: true,
    status: 504,
  });
}
