// What nodes ask of each other about their replicas: rarely, so as JSON, checked field by field on arrival.

import { malformed } from '../../errors.js';
import type { ConfState } from '../../raft/types.js';

/** Channel of requests about replicas. */
export const REPLICA_CHANNEL = 'dw.raft.replicas';

/** What a replica is to become when it is brought back. */
export type FormerRole = 'voter' | 'witness' | 'learner';

/** That a group's majority was lost for good, and how it was recovered. */
export interface RecoveryNote {
  /** ISO 8601. */
  readonly time: string;
  /** The node that did it. */
  readonly by: string;
  readonly voters: readonly string[];
  /** Last entry of the log that the group goes on with. */
  readonly lastIndex: number;
}

/** The leader asks for an empty replica. */
export interface OpenReplica {
  readonly kind: 'open';
  readonly groupId: string;
  readonly machine: string;
  /**
   * The members at index 0, as all replicas have them: each change in the log is made to what came of those before. It is
   * the applied index that keeps the node from voting before it knows.
   */
  readonly bootstrap: ConfState;
  /** Term in which it leads. What a leader of an earlier term asks for comes too late. */
  readonly term: number;
  /** Applied index of the leader that asks: what is older is not about this replica. */
  readonly index: number;
  /** Put it in the place of what is there, which is damaged or not to be believed. */
  readonly replace: boolean;
  readonly recovered: readonly RecoveryNote[];
}

/** The leader says that a node is no member of a group any more. */
export interface DestroyReplica {
  readonly kind: 'destroy';
  readonly groupId: string;
  /** Applied index of the leader, at which the node is no member. */
  readonly index: number;
}

/** A replica that hears of no leader asks whether it is still a member. */
export interface AskMembership {
  readonly kind: 'ask';
  readonly groupId: string;
}

/** The leader is about to bring a node back and lets it note what it was, in case the leader does not get to the end. */
export interface NoteRole {
  readonly kind: 'note';
  readonly groupId: string;
  readonly role: FormerRole;
}

/** A node says what it has, so that leaders bring back what it should have. */
export interface ReportReplicas {
  readonly kind: 'report';
  /** Groups that it has whole replicas of. */
  readonly held: readonly string[];
  readonly damaged: readonly string[];
  /** What it is to become again, by group. */
  readonly notes: Readonly<Record<string, FormerRole>>;
}

/** A change of members, brought to the leader. */
export interface ChangeMembers {
  readonly kind: 'change';
  readonly groupId: string;
  readonly add: readonly string[];
  readonly addLearners: readonly string[];
  readonly addWitnesses: readonly string[];
  readonly remove: readonly string[];
}

/** Asks for the position of a replica, in order to recover a group. */
export interface InspectReplica {
  readonly kind: 'inspect';
  readonly groupId: string;
}

/** Asks a node to go on with its replica as the only voter. */
export interface RecoverReplica {
  readonly kind: 'recover';
  readonly groupId: string;
  /** Term above every term that is known. */
  readonly term: number;
  /** Last index of the log as it was when the plan was made: another one means another plan. */
  readonly lastIndex: number;
  readonly lastTerm: number;
}

/** Any request. */
export type ReplicaRequest =
  | OpenReplica
  | DestroyReplica
  | AskMembership
  | NoteRole
  | ReportReplicas
  | ChangeMembers
  | InspectReplica
  | RecoverReplica;

const WHAT = 'a request about a replica';
const MAX_ITEMS = 10_000;
const MAX_TEXT = 256;

/** A request as bytes. */
export function encodeReplicaRequest(request: ReplicaRequest): Uint8Array {
  return Buffer.from(JSON.stringify(request));
}

/** Bytes as a request. @throws DwError `frame-malformed`. */
export function decodeReplicaRequest(bytes: Uint8Array): ReplicaRequest {
  const fields = parseObject(bytes, WHAT);
  const kind = text(fields, 'kind');
  if (kind === 'report') {
    const notes = object(fields, 'notes');
    for (const role of Object.values(notes)) checkRole(role);
    return {
      kind,
      held: texts(fields, 'held'),
      damaged: texts(fields, 'damaged'),
      notes: notes as Record<string, FormerRole>,
    };
  }
  const groupId = text(fields, 'groupId');
  switch (kind) {
    case 'ask':
    case 'inspect':
      return { kind, groupId };
    case 'destroy':
      return { kind, groupId, index: count(fields, 'index') };
    case 'note':
      return { kind, groupId, role: checkRole(fields['role']) };
    case 'recover': {
      const [term, lastIndex] = [count(fields, 'term'), count(fields, 'lastIndex')];
      return { kind, groupId, term, lastIndex, lastTerm: count(fields, 'lastTerm') };
    }
    case 'change':
      return {
        kind,
        groupId,
        add: texts(fields, 'add'),
        addLearners: texts(fields, 'addLearners'),
        addWitnesses: texts(fields, 'addWitnesses'),
        remove: texts(fields, 'remove'),
      };
    case 'open':
      return {
        kind,
        groupId,
        machine: text(fields, 'machine'),
        bootstrap: confOf(object(fields, 'bootstrap')),
        term: count(fields, 'term'),
        index: count(fields, 'index'),
        replace: fields['replace'] === true,
        recovered: recoveryNotes(fields['recovered']),
      };
    default:
      throw malformed(WHAT, `there is no kind ${kind}`);
  }
}

/** An answer as bytes. */
export function encodeAnswer(answer: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(answer));
}

/** Bytes as the fields of an answer. @throws DwError `frame-malformed`. */
export function decodeAnswer(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  return parseObject(bytes, 'an answer about a replica');
}

/** Notes of recoveries, checked. @throws DwError `frame-malformed`. */
export function recoveryNotes(value: unknown): readonly RecoveryNote[] {
  if (!Array.isArray(value) || value.length > MAX_ITEMS)
    throw malformed(WHAT, 'it has no list of recoveries');
  return value.map((item: unknown) => {
    const fields = asObject(item, 'a recovery');
    return {
      time: text(fields, 'time'),
      by: text(fields, 'by'),
      voters: texts(fields, 'voters'),
      lastIndex: count(fields, 'lastIndex'),
    };
  });
}

function confOf(fields: Readonly<Record<string, unknown>>): ConfState {
  return {
    voters: texts(fields, 'voters'),
    votersOutgoing: texts(fields, 'votersOutgoing'),
    learners: texts(fields, 'learners'),
    learnersNext: texts(fields, 'learnersNext'),
    witnesses: texts(fields, 'witnesses'),
    autoLeave: fields['autoLeave'] === true,
  };
}

function parseObject(bytes: Uint8Array, what: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString());
  } catch {
    throw malformed(what, 'it is not JSON');
  }
  return asObject(value, what);
}

function asObject(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw malformed(what, 'it is no object');
  }
  return value as Record<string, unknown>;
}

function object(fields: Readonly<Record<string, unknown>>, name: string): Readonly<Record<string, unknown>> {
  return asObject(fields[name], `${WHAT} (${name})`);
}

function text(fields: Readonly<Record<string, unknown>>, name: string): string {
  const value = fields[name];
  if (typeof value === 'string' && value.length > 0 && value.length <= MAX_TEXT) return value;
  throw malformed(WHAT, `${name} is no text`);
}

function texts(fields: Readonly<Record<string, unknown>>, name: string): readonly string[] {
  const value = fields[name];
  const whole = Array.isArray(value) && value.length <= MAX_ITEMS;
  if (
    whole &&
    value.every((item) => typeof item === 'string' && item.length > 0 && item.length <= MAX_TEXT)
  ) {
    return value as string[];
  }
  throw malformed(WHAT, `${name} is no list of names`);
}

function count(fields: Readonly<Record<string, unknown>>, name: string): number {
  const value = fields[name];
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw malformed(WHAT, `${name} is no whole number`);
}

function checkRole(value: unknown): FormerRole {
  if (value === 'voter' || value === 'witness' || value === 'learner') return value;
  throw malformed(WHAT, 'it names no role');
}
