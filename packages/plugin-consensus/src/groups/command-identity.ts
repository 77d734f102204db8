// What makes a command apply once: its place in a session, or an idempotency key. Wraps commands accordingly, and turns
// the refusals of the group's table into errors. The same for every state machine.

import type { CommandIdentity, GroupSession } from '@datawarehouse/sdk';
import type { DwError } from '@datawarehouse/sdk';
import { groupFailed, idempotencyKeyReused, requestInvalid } from '../errors.js';
import {
  sequenceAcknowledged,
  sequenceReused,
  sessionExpired,
  sessionFull,
  sessionOfOtherGroup,
} from '../state/errors.js';
import type { EntryKind } from '../state/group-state.js';
import type { Outcome } from '../state/outcome.js';
import {
  MAX_IDEMPOTENCY_KEY_LENGTH,
  encodeKeyedCommand,
  encodeSessionCommand,
  encodeSessionId,
} from '../state/sessions/command-header.js';
import type { GroupRouter } from './group-router.js';

/** A code unit that is half of a character, with no other half beside it: no UTF-8 stands for it. */
const LONE_SURROGATE = /\p{Surrogate}/u;
const EMPTY = new Uint8Array(0);

/** A command as it is proposed. */
export interface Proposable {
  readonly kind: EntryKind;
  readonly data: Uint8Array;
  /** Whether a second try is harmless when the first may have happened. */
  readonly repeatable: boolean;
}

/**
 * Wraps a command in what makes it apply once, if there is something.
 * @throws DwError `request-invalid`, `session-of-other-group`.
 */
export function envelop(command: Uint8Array, group: string, identity: CommandIdentity): Proposable {
  const { session, idempotencyKey } = identity;
  if (session !== undefined) {
    if (idempotencyKey !== undefined) {
      throw requestInvalid('A session and an idempotency key exclude each other', 'give one of them');
    }
    const { session: id, sequence, lowestWanted = 0 } = session;
    if (session.group !== group) throw sessionOfOtherGroup(group, session.group);
    for (const [name, value] of Object.entries({ session: id, sequence, lowestWanted })) {
      if (Number.isSafeInteger(value) && value >= 0) continue;
      throw requestInvalid(
        `The ${name} of a session command cannot be ${value}`,
        'give a whole number from 0',
      );
    }
    const data = encodeSessionCommand({ session: id, sequence, lowestWanted }, command);
    return { kind: 'session-command', data, repeatable: true };
  }
  if (idempotencyKey === undefined) return { kind: 'command', data: command, repeatable: false };
  checkIdempotencyKey(idempotencyKey);
  return { kind: 'keyed-command', data: encodeKeyedCommand(idempotencyKey, command), repeatable: true };
}

/** The error that an outcome of the table stands for; undefined when it is one of the state machine. */
export function refusalOf(
  outcome: Outcome,
  group: string,
  { session, idempotencyKey = '' }: CommandIdentity,
): DwError | undefined {
  if (outcome.status === 'idempotency-key-reused') return idempotencyKeyReused(idempotencyKey);
  if (session === undefined) return undefined;
  const command = { lowestWanted: 0, ...session };
  if (outcome.status === 'session-expired') return sessionExpired(group, command.session);
  if (outcome.status === 'sequence-acknowledged') return sequenceAcknowledged(group, command);
  if (outcome.status === 'sequence-reused') return sequenceReused(group, command);
  return outcome.status === 'session-full' ? sessionFull(group, command.session) : undefined;
}

/** Opens a session in a group. One whose answer is lost stays open until it is the least recently used. */
export async function openSession(
  router: GroupRouter,
  group: string,
  signal?: AbortSignal,
): Promise<GroupSession> {
  const { outcome } = await router.propose(group, 'open-session', EMPTY, true, signal);
  if (outcome.status === 'session-opened') return { group, session: outcome.session };
  throw groupFailed(group, new Error(`an outcome ${outcome.status} for the opening of a session`));
}

/** Closes a session. One that is gone is closed. */
export async function closeSession(
  router: GroupRouter,
  group: string,
  session: number,
  signal?: AbortSignal,
): Promise<void> {
  await router.propose(group, 'close-session', encodeSessionId(session), true, signal);
}

function checkIdempotencyKey(key: string): void {
  if (key.length >= 1 && key.length <= MAX_IDEMPOTENCY_KEY_LENGTH && !LONE_SURROGATE.test(key)) return;
  throw requestInvalid(
    `The idempotency key has ${key.length} characters`,
    `use 1 to ${MAX_IDEMPOTENCY_KEY_LENGTH} characters, new for each request`,
  );
}
