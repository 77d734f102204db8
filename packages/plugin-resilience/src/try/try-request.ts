// One request of a run that tries a policy. It reads nothing of the answer but the status, follows no redirect, and sends
// nothing but itself.

import { tryAnswered, tryUnreachable } from '../errors.js';
import { retryAfterOf } from '../strategies/retry/retry-after.js';

/**
 * Asks the URL once.
 * @param answered Told the status of the answer.
 * @throws DwError `try-answer-failed` for statuses 429 and 500 to 599; `try-no-answer`; the signal's reason.
 */
export type TryRequest = (
  url: string,
  method: 'GET' | 'HEAD',
  signal: AbortSignal,
  answered: (status: number) => void,
) => Promise<void>;

/** Asks over HTTP. */
export const requestByFetch: TryRequest = async (url, method, signal, answered) => {
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      signal,
      redirect: 'manual',
      headers: { 'user-agent': 'dw-resilience-try' },
    });
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    throw tryUnreachable(url, thrown);
  }
  const { status } = response;
  answered(status);
  // The answer is not wanted; without this its connection would be kept until it is collected.
  await response.body?.cancel();
  if (status === 429 || status >= 500) throw tryAnswered(status, retryAfterOf(response, Date.now));
};
