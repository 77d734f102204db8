// Requests to peers under policies of every kind, made by hand: what they may do to a request, and what not.

import { describe, expect, it } from 'vitest';
import type {
  IPeerTransport,
  IResilience,
  IResiliencePolicy,
  ResilienceCallOptions,
} from '@datawarehouse/sdk';
import { DwError, isDwError } from '@datawarehouse/sdk';
import { FakeClock, MemoryNetwork } from '@datawarehouse/sdk/testing';
import { PEER_POLICY, PeerCalls } from './peer-calls.js';
import type { PeerRequest } from './peer-call.js';

type Run = (signal: AbortSignal) => unknown;
type Behaviour = (run: Run, options: ResilienceCallOptions) => Promise<unknown>;

const refusal = (code: string): DwError => new DwError({ code, message: code, retryable: true, status: 503 });
const signal = new AbortController().signal;

/** Policies that do what the test says. */
class Policies {
  gives: Behaviour | undefined;
  readonly seen: ResilienceCallOptions[] = [];
  lookups = 0;

  constructor(gives?: Behaviour) {
    this.gives = gives;
  }

  find = (): IResilience => {
    this.lookups++;
    const policy = (name: string): IResiliencePolicy => {
      const given = this.gives;
      if (given === undefined || name !== PEER_POLICY) throw refusal('policy-unknown');
      const execute = (action: Run, options: ResilienceCallOptions): Promise<unknown> => {
        this.seen.push(options);
        return this.gives === given ? given(action, options) : Promise.reject(refusal('policy-unknown'));
      };
      return { name, execute } as unknown as IResiliencePolicy;
    };
    return { policy } as unknown as IResilience;
  };
}

const lost = (why: string): DwError => new DwError({ code: 'answer-overdue', message: why });

/** A request of which each sending ends as the test says. */
function request(outcomes: readonly (() => Promise<string>)[], repeatable = false) {
  const sent = { count: 0 };
  const send = (): Promise<string> => {
    const outcome = outcomes[sent.count++];
    if (outcome === undefined) throw new Error('sent once more than the test expects');
    return outcome();
  };
  const given: PeerRequest<string> = { peer: 'n2', send, repeatable, lost };
  return { given, sent };
}

const yes = async (): Promise<string> => 'yes';
const fails = (code: string) => async (): Promise<string> => {
  throw refusal(code);
};
const silent = (): Promise<string> => new Promise(() => {});

function made(gives: Behaviour | undefined) {
  const clock = new FakeClock();
  const policies = new Policies(gives);
  return { clock, policies, calls: new PeerCalls(policies.find, clock) };
}

const codeOf = async (promise: Promise<unknown>): Promise<unknown> => {
  try {
    return await promise;
  } catch (error) {
    return isDwError(error) ? error.code : error;
  }
};

/** As a retry does. */
const again =
  (times: number): Behaviour =>
  async (run) => {
    for (let n = 0; ; n++) {
      try {
        return await run(signal);
      } catch (error) {
        if (n === times) throw error;
      }
    }
  };

describe('a request to a peer', () => {
  it('goes out as it is where there are no policies, which are looked for once a second', async () => {
    const { calls, clock, policies } = made(undefined);
    const { given } = request([yes, yes, yes]);
    expect(await calls.call(given, 100)).toBe('yes');
    expect(await calls.call(given, 100)).toBe('yes');
    expect(policies.lookups).toBe(1);
    policies.gives = (run) => Promise.resolve(run(signal));
    await clock.advanceAsync(1_000);
    expect(await calls.call(given, 2_000)).toBe('yes');
    expect(policies.seen).toHaveLength(1);
  });

  it('is made under the policy with the peer as the key, and stands for no other', async () => {
    const { calls, policies } = made((run) => Promise.resolve(run(signal)));
    const { given } = request([yes, yes]);
    await calls.call(given, 100);
    await calls.call(given, 100);
    expect(policies.seen.map(({ key }) => key)).toEqual(['n2', 'n2']);
    expect(new Set(policies.seen.map(({ identity }) => identity)).size).toBe(2);
    expect(policies.lookups).toBe(1);
  });

  it('that the policy turns away was not sent, and the refusal says so', async () => {
    const { calls } = made(() => Promise.reject(refusal('circuit-open')));
    const { given, sent } = request([]);
    expect(await codeOf(calls.call(given, 100))).toBe('circuit-open');
    expect(sent.count).toBe(0);
  });

  it('that the policy gives up while it is under way may have been handled', async () => {
    const { calls } = made((run) => {
      void run(signal);
      return Promise.reject(refusal('call-timeout'));
    });
    expect(await codeOf(calls.call(request([silent]).given, 100))).toBe('answer-overdue');
    expect(await codeOf(calls.call(request([silent], true).given, 100))).toBe('answer-overdue');
  });

  it('that fails with what leaves it open is not sent again, and stays open whatever comes of the policy', async () => {
    const { calls, policies } = made(again(3));
    const once = request([fails('answer-lost')]);
    expect(await codeOf(calls.call(once.given, 100))).toBe('answer-lost');
    expect(once.sent.count).toBe(1);
    policies.gives = (run) =>
      Promise.resolve(run(signal)).catch(() => Promise.reject(refusal('circuit-open')));
    const fresh = new PeerCalls(policies.find, new FakeClock());
    expect(await codeOf(fresh.call(request([fails('outcome-unknown')]).given, 100))).toBe('outcome-unknown');
  });

  it('that was answered is not sent again, and no refusal of the policy says that it was not handled', async () => {
    const refuses: Behaviour = async (run) => {
      await run(signal);
      throw refusal('chaos-injected');
    };
    expect(await codeOf(made(refuses).calls.call(request([yes]).given, 100))).toBe('answer-overdue');
    const invents: Behaviour = async (run) => {
      await run(signal);
      return 'a fallback';
    };
    expect(await codeOf(made(invents).calls.call(request([yes]).given, 100))).toBe('answer-overdue');
    const twice: Behaviour = async (run) => {
      await run(signal);
      return run(signal);
    };
    const { given, sent } = request([yes]);
    expect(await codeOf(made(twice).calls.call(given, 100))).toBe('answer-overdue');
    expect(sent.count).toBe(1);
  });

  it('that was certainly not delivered may be sent again', async () => {
    const { calls } = made(again(3));
    const { given, sent } = request([fails('peer-unreachable'), fails('peer-queue-full'), yes]);
    expect(await calls.call(given, 100)).toBe('yes');
    expect(sent.count).toBe(3);
  });

  it('that is repeatable is repeated, and its last failure counts', async () => {
    const { calls } = made(again(1));
    const first = request([fails('answer-lost'), yes], true);
    expect(await calls.call(first.given, 100)).toBe('yes');
    const second = request([fails('answer-lost'), fails('key-invalid')], true);
    expect(await codeOf(calls.call(second.given, 100))).toBe('key-invalid');
  });

  it('is not sent twice at the same time by a hedge', async () => {
    const { calls } = made((run) => Promise.any([run(signal), run(signal)]));
    const { given, sent } = request([yes]);
    expect(await calls.call(given, 100)).toBe('yes');
    expect(sent.count).toBe(1);
    const { calls: others } = made((run) => Promise.all([run(signal), run(signal)]));
    const twice = request([silent]);
    expect(await codeOf(others.call(twice.given, 100))).toBe('answer-overdue');
    // What the policy is told has a name of its own; the caller is told the request's own failure, which says more.
    let told: unknown;
    const { calls: late } = made(async (run) => {
      await Promise.resolve(run(signal)).catch(() => {});
      told = await codeOf(Promise.resolve(run(signal)));
      throw refusal('circuit-open');
    });
    const named = request([fails('peer-timeout')]);
    expect(await codeOf(late.call(named.given, 100))).toBe('peer-timeout');
    expect(told).toBe('peer-request-repeated');
  });

  it('takes no answer that the peer did not give', async () => {
    const { calls } = made(() => Promise.resolve('a fallback'));
    expect(await codeOf(calls.call(request([]).given, 100))).toBe('peer-answer-invented');
    const { calls: after } = made((run) => Promise.resolve(run(signal)).catch(() => 'a fallback'));
    expect(await codeOf(after.call(request([fails('answer-lost')]).given, 100))).toBe('answer-lost');
    expect(await codeOf(after.call(request([fails('not-leader')]).given, 100))).toBe('peer-answer-invented');
  });

  it('that was told to give up may have been handled, whatever it then fails with', async () => {
    const aborted = AbortSignal.abort(refusal('call-timeout'));
    const { calls } = made((run) => Promise.resolve(run(aborted)));
    const given: PeerRequest<string> = {
      ...request([]).given,
      send: (told) => Promise.reject(told.reason as Error),
    };
    expect(await codeOf(calls.call(given, 100))).toBe('answer-overdue');
  });

  it('that waits for its turn past its time is refused, and is not sent when its turn comes', async () => {
    let letIn: () => void = () => {};
    const { calls, clock } = made(
      (run) =>
        new Promise(
          (resolve, reject) => (letIn = () => void Promise.resolve(run(signal)).then(resolve, reject)),
        ),
    );
    const { given, sent } = request([yes]);
    const result = codeOf(calls.call(given, 100));
    await clock.advanceAsync(100);
    expect(await result).toBe('peer-request-not-made');
    letIn();
    await clock.advanceAsync(0);
    expect(sent.count).toBe(0);
    expect(clock.pendingTimers()).toEqual([]);
    // One that gets its turn in time leaves no timer.
    const other = request([yes]);
    const inTime = calls.call(other.given, 1_000);
    letIn();
    expect(await inTime).toBe('yes');
    expect(clock.pendingTimers()).toEqual([]);
  });

  it('that the policy times out before it is sent was not made, and is not sent later', async () => {
    let late: Run = () => undefined;
    const { calls } = made((run) => {
      late = run;
      return Promise.reject(refusal('call-timeout'));
    });
    const { given, sent } = request([yes]);
    expect(await codeOf(calls.call(given, 100))).toBe('peer-request-not-made');
    expect(await codeOf(Promise.resolve(late(signal)))).toBe('peer-request-not-made');
    expect(sent.count).toBe(0);
  });

  it('that was not delivered, and that the policy times out before it is sent again, was not made', async () => {
    const { calls } = made(async (run) => {
      await Promise.resolve(run(signal)).catch(() => undefined);
      throw refusal('call-timeout');
    });
    const { given, sent } = request([fails('peer-unreachable')]);
    expect(await codeOf(calls.call(given, 100))).toBe('peer-request-not-made');
    expect(sent.count).toBe(1);
  });

  it('finds the policy again after its plugin was stopped and came back', async () => {
    const { calls, policies } = made((run) => Promise.resolve(run(signal)));
    const { given, sent } = request([yes, yes, yes]);
    await calls.call(given, 100);
    policies.gives = undefined;
    expect(await calls.call(given, 100)).toBe('yes');
    expect(sent.count).toBe(2);
    policies.gives = () => Promise.reject(refusal('circuit-open'));
    const fresh = new PeerCalls(policies.find, new FakeClock());
    expect(await codeOf(fresh.call(given, 100))).toBe('circuit-open');
  });

  it.each(['resilience-stopping', 'resilience-stopped'])(
    'that was not sent goes out as it is when the policy is being stopped (%s)',
    async (code) => {
      const { calls, clock, policies } = made(() => Promise.reject(refusal(code)));
      const { given, sent } = request([yes, yes, yes]);
      expect(await calls.call(given, 100)).toBe('yes');
      expect(await calls.call(given, 100)).toBe('yes');
      expect(policies.seen).toHaveLength(1);
      policies.gives = (run) => Promise.resolve(run(signal));
      clock.advance(1_000);
      expect(await calls.call(given, 2_000)).toBe('yes');
      expect(policies.seen).toHaveLength(2);
      expect(sent.count).toBe(3);
    },
  );
});

describe('a transport whose requests are made under a policy', () => {
  const network = () => {
    const clock = new FakeClock();
    const net = new MemoryNetwork({ nodes: ['n1', 'n2'], clock });
    return { clock, n1: net.transport('n1'), n2: net.transport('n2') };
  };

  it('asks, and passes everything else on', async () => {
    const { clock, n1, n2 } = network();
    const policies = new Policies((run) => Promise.resolve(run(signal)));
    const transport: IPeerTransport = new PeerCalls(policies.find, clock).over(n1);
    const heard: string[] = [];
    n2.handle('c', {
      onMessage: (from) => void heard.push(from),
      onRequest: async (_from, payload) => Buffer.from(payload.toString().toUpperCase()),
    });
    await clock.advanceAsync(10);
    const asking = transport.request('n2', 'c', Buffer.from('hello'));
    await clock.advanceAsync(10);
    expect((await asking).toString()).toBe('HELLO');
    expect(transport.send('n2', 'c', Buffer.from('x'))).toBe(true);
    await clock.advanceAsync(10);
    expect(heard).toEqual(['n1']);
    expect(transport.localId).toBe('n1');
    expect(transport.peers().map(({ id }) => id)).toEqual(['n2']);
    expect(policies.seen).toHaveLength(1);
  });

  it('says in the terms of the transport that a request which was given up may have been handled', async () => {
    const { clock, n1, n2 } = network();
    n2.handle('c', { onRequest: () => new Promise(() => {}) });
    await clock.advanceAsync(10);
    const policies = new Policies((run) => {
      Promise.resolve(run(signal)).catch(() => {});
      return Promise.reject(refusal('call-timeout'));
    });
    const transport = new PeerCalls(policies.find, clock).over(n1);
    expect(await codeOf(transport.request('n2', 'c', Buffer.from('x'), { timeoutMs: 50 }))).toBe(
      'peer-timeout',
    );
    await clock.advanceAsync(60);
  });

  it('rejects with the caller’s reason when the caller does not want it any more', async () => {
    const { clock, n1, n2 } = network();
    n2.handle('c', { onRequest: () => new Promise(() => {}) });
    await clock.advanceAsync(10);
    const controller = new AbortController();
    const policies = new Policies((run, options) => {
      Promise.resolve(run(options.signal ?? signal)).catch(() => {});
      return new Promise((_resolve, reject) =>
        options.signal?.addEventListener('abort', () => reject(options.signal?.reason as Error)),
      );
    });
    const transport = new PeerCalls(policies.find, clock).over(n1);
    const result = codeOf(transport.request('n2', 'c', Buffer.from('x'), { signal: controller.signal }));
    const reason = new Error('not wanted');
    controller.abort(reason);
    expect(await result).toBe(reason);
  });
});
