// Checks the parts of a directory that come from outside: from HTTP, from peers, from a log, from the disk. Each check
// gives a copy that holds the known fields and no others, so that equal directories have equal bytes.

import { MAX_CLUSTER_NODES } from '@datawarehouse/sdk';
import { malformed } from '../../errors.js';
import type { DirectoryGroup, DirectoryNode, NodeAddresses, RetiredNode } from './directory-types.js';
import { MAX_MEMBERS } from './directory-types.js';

const ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
const STORAGE_ID = /^[A-Za-z0-9_-]{1,64}$/;
/** As liberal with host names as the configuration of a node is. */
const ENDPOINT = /^(?:\[[0-9A-Fa-f:.%]{2,64}\]|[^:[\]/\s\p{Cc}]{1,255}):(\d{1,5})$/u;
/** Port 0 is what a node alone may have: nobody dials it. */
const LAST_PORT = 65_535;
const HTTP = /^https?:\/\/(.{3,300})$/;
const WHAT = 'a part of the directory';

type Fields = Readonly<Record<string, unknown>>;

/** @throws DwError `frame-malformed` unless it is an object. */
export function fieldsOf(value: unknown, what = WHAT): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw malformed(what, 'it is no object');
}

/** A node's or group's id. @throws DwError `frame-malformed`. */
export function checkId(value: unknown, name: string): string {
  if (typeof value === 'string' && ID.test(value)) return value;
  throw malformed(WHAT, `"${name}" must be 1 to 64 letters, digits, "_" or "-"`);
}

/** A whole number from `min` to `max`. @throws DwError `frame-malformed`. */
export function checkInteger(value: unknown, name: string, min: number, max: number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw malformed(WHAT, `"${name}" must be a whole number from ${min} to ${max}`);
}

/** An array that is not too long. @throws DwError `frame-malformed`. */
export function checkArray(value: unknown, name: string, max: number): readonly unknown[] {
  if (Array.isArray(value) && value.length <= max) return value;
  throw malformed(WHAT, `"${name}" must be a list of at most ${max}`);
}

function isEndpoint(value: unknown): value is string {
  if (typeof value !== 'string') return false;
  return Number(ENDPOINT.exec(value)?.[1]) <= LAST_PORT;
}

/** The addresses of a node. @throws DwError `frame-malformed`. */
export function checkAddresses(fields: Fields): NodeAddresses {
  const { peer, http = null, client = null } = fields;
  if (!isEndpoint(peer)) throw malformed(WHAT, '"peer" must be host:port');
  if (http !== null && (typeof http !== 'string' || !isEndpoint(HTTP.exec(http)?.[1]))) {
    throw malformed(WHAT, '"http" must be http://host:port');
  }
  if (client !== null && !isEndpoint(client)) throw malformed(WHAT, '"client" must be host:port');
  return { peer, http, client };
}

/** A storage's id. @throws DwError `frame-malformed`. */
export function checkStorageId(value: unknown): string {
  if (typeof value === 'string' && STORAGE_ID.test(value)) return value;
  throw malformed(WHAT, '"storageId" must be 1 to 64 letters, digits, "_" or "-"');
}

/** A node. @throws DwError `frame-malformed`. */
export function checkNode(value: unknown): DirectoryNode {
  const fields = fieldsOf(value);
  const { state, storageId = null } = fields;
  if (state !== 'new' && state !== 'member' && state !== 'retiring')
    throw malformed(WHAT, 'there is no such state of a node');
  return {
    id: checkId(fields['id'], 'id'),
    ...checkAddresses(fields),
    state,
    storageId: storageId === null ? null : checkStorageId(storageId),
  };
}

/** The members of a group: sorted, each once. @throws DwError `frame-malformed`. */
export function checkVoters(value: unknown, name = 'voters'): readonly string[] {
  const voters = checkArray(value, name, MAX_MEMBERS).map((voter) => checkId(voter, name));
  if (voters.length === 0) throw malformed(WHAT, `"${name}" is empty`);
  if (new Set(voters).size < voters.length) throw malformed(WHAT, `"${name}" names a node twice`);
  return voters.toSorted();
}

/** A group. @throws DwError `frame-malformed`. */
export function checkGroup(value: unknown): DirectoryGroup {
  const fields = fieldsOf(value);
  const bootstrap = checkVoters(fields['bootstrap'], 'bootstrap');
  const preferredLeader = checkId(fields['preferredLeader'], 'preferredLeader');
  if (!bootstrap.includes(preferredLeader)) throw malformed(WHAT, '"preferredLeader" must be a voter');
  const { storages } = fields;
  return {
    id: checkId(fields['id'], 'id'),
    machine: checkId(fields['machine'], 'machine'),
    bootstrap,
    ...(storages === undefined ? {} : { storages: checkStorages(storages, bootstrap.length) }),
    preferredLeader,
    voters: checkVoters(fields['voters'] ?? fields['bootstrap']),
    votersAt: checkInteger(fields['votersAt'] ?? 0, 'votersAt', 0, Number.MAX_SAFE_INTEGER),
  };
}

function checkStorages(value: unknown, count: number): readonly string[] {
  if (!Array.isArray(value) || value.length !== count) {
    throw malformed(WHAT, '"storages" must name one storage for each voter');
  }
  return value.map(checkStorageId);
}

/** A removed node. @throws DwError `frame-malformed`. */
export function checkRetired(value: unknown): RetiredNode {
  const fields = fieldsOf(value);
  return { id: checkId(fields['id'], 'id'), storageId: checkStorageId(fields['storageId']) };
}

/** How many nodes are to vote in a group. @throws DwError `frame-malformed`. */
export function checkVotersPerGroup(value: unknown): number {
  return checkInteger(value, 'votersPerGroup', 1, Math.min(MAX_MEMBERS, MAX_CLUSTER_NODES));
}
