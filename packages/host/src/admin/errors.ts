// What the host's own calls say when they refuse something.

import { DwError } from '@datawarehouse/sdk';

/** A subscriber of the topic is full and its rule is to refuse. */
export function queueRefused(topic: string): DwError {
  return new DwError({
    code: 'bus-queue-full',
    status: 429,
    retryable: true,
    retryAfterMs: 1_000,
    message: `"${topic}" was refused by a subscriber whose queue is full; the others have got it`,
    hint: 'publish more slowly',
  });
}
