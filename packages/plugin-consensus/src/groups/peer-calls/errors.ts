// Errors of requests to other nodes that come from the policy they are made under.

import { DwError } from '@datawarehouse/sdk';

/** The policy would send again what may have been handled already. */
export function requestRepeated(peer: string): DwError {
  return new DwError({
    code: 'peer-request-repeated',
    message: `A request to ${peer} that may not be repeated was not sent again`,
    hint: 'take retry and hedge out of the policy of requests to peers: what may be repeated is repeated anyway',
    status: 503,
  });
}

/** The policy answered in place of the peer. */
export function answerNotOfPeer(peer: string): DwError {
  return new DwError({
    code: 'peer-answer-invented',
    message: `The policy of requests to peers gave an answer that is not of ${peer}; it was not used`,
    hint: 'take fallback values and results of chaos out of that policy',
    retryable: true,
    retryAfterMs: 100,
    status: 503,
  });
}

/** It waited for its turn under the policy until nobody wanted its answer any more. */
export function requestNotMade(peer: string): DwError {
  return new DwError({
    code: 'peer-request-not-made',
    message: `A request to ${peer} waited for its turn until its time was over; it was not made`,
    hint: 'look at "dw resilience show peer-rpc" for what lets so few in',
    retryable: true,
    retryAfterMs: 250,
    status: 503,
  });
}
