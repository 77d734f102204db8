// Why a connection ended. The reasons are stable: they are metric names and appear in logs.

import type { FrameViolation } from '../wire/frame.js';

/** What a peer or stranger did that we do not put up with. Counted by reason. */
export type RejectReason =
  | FrameViolation
  | 'malformed-hello'
  | 'malformed-frame'
  | 'unexpected-frame'
  | 'bad-channel'
  | 'duplicate-correlation'
  | 'unknown-correlation'
  | 'wrong-cluster'
  | 'wrong-target'
  | 'wrong-peer'
  | 'unknown-node'
  | 'self'
  | 'tls-failed'
  | 'tls-identity'
  | 'handshake-timeout'
  | 'too-many-handshakes'
  | 'silent'
  | 'frame-stalled'
  | 'write-stalled'
  | 'reply-queue-full';

/** Every reason for which a connection ends. */
export type CloseReason =
  | RejectReason
  | 'refused'
  | 'ended'
  | 'socket-error'
  | 'idle'
  | 'goodbye'
  | 'replaced'
  | 'superseded'
  | 'pool-closed'
  | 'retired'
  | 'evicted'
  | 'dismissed'
  | 'shutdown';

const REJECT_REASONS: ReadonlySet<string> = new Set<RejectReason>([
  'bad-magic',
  'bad-version',
  'bad-checksum',
  'bad-flags',
  'frame-too-large',
  'unknown-frame-type',
  'malformed-hello',
  'malformed-frame',
  'unexpected-frame',
  'bad-channel',
  'duplicate-correlation',
  'unknown-correlation',
  'wrong-cluster',
  'wrong-target',
  'wrong-peer',
  'unknown-node',
  'self',
  'tls-failed',
  'tls-identity',
  'handshake-timeout',
  'too-many-handshakes',
  'silent',
  'frame-stalled',
  'write-stalled',
  'reply-queue-full',
]);

/** Whether a reason says that the other side misbehaved. */
export function isRejectReason(reason: string): reason is RejectReason {
  return REJECT_REASONS.has(reason);
}
