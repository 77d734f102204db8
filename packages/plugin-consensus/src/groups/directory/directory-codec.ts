// A directory as bytes: one line of JSON for each part, so that it can be written and read piece by piece, and last the
// counts and a checksum. Equal directories give equal bytes. The same bytes are the snapshot of its group, the copy that
// each node keeps, and what a node without a replica is sent.

import { crc32 } from '@datawarehouse/sdk';
import { malformed } from '../../errors.js';
import {
  checkGroup,
  checkInteger,
  checkNode,
  checkRetired,
  checkVotersPerGroup,
  fieldsOf,
} from './check-directory.js';
import type { DirectoryGroup, DirectoryNode, DirectoryView, RetiredNode } from './directory-types.js';
import { EMPTY_DIRECTORY, MAX_GROUPS, MAX_NODES, MAX_RETIRED } from './directory-types.js';

const FORMAT = 1;
const WHAT = 'a directory';
const CHUNK_CHARACTERS = 64 * 1_024;
/** No part is longer: a group with all members it can have, under the longest names. */
const MAX_LINE_BYTES = 16 * 1_024;
const NEW_LINE = 10;

function* lines(view: DirectoryView): Generator<string> {
  yield JSON.stringify({ directory: FORMAT, version: view.version, votersPerGroup: view.votersPerGroup });
  for (const { id, peer, http, client, state, storageId } of view.nodes) {
    yield JSON.stringify({ node: { id, peer, http, client, state, storageId } });
  }
  for (const { id, machine, bootstrap, storages, preferredLeader, voters, votersAt } of view.groups) {
    yield JSON.stringify({ group: { id, machine, bootstrap, storages, preferredLeader, voters, votersAt } });
  }
  for (const { id, storageId } of view.retired) yield JSON.stringify({ retired: { id, storageId } });
}

/** The chunks of a directory, made as they are pulled. A view never changes, so they are those of the call. */
export function* encodeDirectory(view: DirectoryView): Generator<Uint8Array> {
  let text = '';
  let crc = 0;
  const take = (): Buffer => {
    const chunk = Buffer.from(text);
    crc = crc32(chunk, crc);
    text = '';
    return chunk;
  };
  for (const line of lines(view)) {
    text += `${line}\n`;
    if (text.length >= CHUNK_CHARACTERS) yield take();
  }
  if (text !== '') yield take();
  const { nodes, groups, retired } = view;
  const counts = { nodes: nodes.length, groups: groups.length, retired: retired.length };
  yield Buffer.from(`${JSON.stringify({ end: counts, crc })}\n`);
}

/** Takes a directory in from chunks that are cut anywhere. */
export class DirectoryDecoder {
  private rest: Buffer = Buffer.alloc(0);
  private crc = 0;
  private header: Pick<DirectoryView, 'version' | 'votersPerGroup'> | undefined;
  private readonly nodes = new Map<string, DirectoryNode>();
  private readonly groups = new Map<string, DirectoryGroup>();
  private readonly retired: RetiredNode[] = [];
  private ended = false;

  /** @throws DwError `frame-malformed`. */
  push(chunk: Uint8Array): void {
    let bytes = Buffer.concat([this.rest, chunk]);
    for (let end = bytes.indexOf(NEW_LINE); end >= 0; end = bytes.indexOf(NEW_LINE)) {
      this.line(bytes.subarray(0, end + 1));
      bytes = bytes.subarray(end + 1);
    }
    if (bytes.length > MAX_LINE_BYTES) throw malformed(WHAT, 'one of its parts is too long');
    this.rest = Buffer.from(bytes);
  }

  /** The directory, once all chunks were given. @throws DwError `frame-malformed`. */
  finish(): DirectoryView {
    if (!this.ended || this.header === undefined || this.rest.length > 0)
      throw malformed(WHAT, 'it is cut off');
    const nodes = [...this.nodes.values()].sort(byId);
    if (this.header.version === 0 && nodes.length === 0) return EMPTY_DIRECTORY;
    return { ...this.header, nodes, groups: [...this.groups.values()], retired: this.retired };
  }

  private line(bytes: Buffer): void {
    if (this.ended) throw malformed(WHAT, 'something follows its end');
    let value: unknown;
    try {
      value = JSON.parse(bytes.toString('utf8'));
    } catch {
      throw malformed(WHAT, 'one of its parts is not JSON');
    }
    const fields = fieldsOf(value, WHAT);
    if (fields['end'] !== undefined) return this.end(fields);
    this.crc = crc32(bytes, this.crc);
    if (this.header === undefined) return this.begin(fields);
    if (fields['node'] !== undefined) add(this.nodes, checkNode(fields['node']), MAX_NODES);
    else if (fields['group'] !== undefined) add(this.groups, checkGroup(fields['group']), MAX_GROUPS);
    else if (this.retired.length < MAX_RETIRED) this.retired.push(checkRetired(fields['retired']));
    else throw malformed(WHAT, 'it holds more than it may');
  }

  private begin(fields: Readonly<Record<string, unknown>>): void {
    if (fields['directory'] !== FORMAT) throw malformed(WHAT, 'its format is unknown');
    const version = checkInteger(fields['version'], 'version', 0, Number.MAX_SAFE_INTEGER);
    const { votersPerGroup } = fields;
    this.header = {
      version,
      votersPerGroup: version === 0 && votersPerGroup === 0 ? 0 : checkVotersPerGroup(votersPerGroup),
    };
  }

  private end(fields: Readonly<Record<string, unknown>>): void {
    const counts = fieldsOf(fields['end'], WHAT);
    const whole =
      counts['nodes'] === this.nodes.size &&
      counts['groups'] === this.groups.size &&
      counts['retired'] === this.retired.length &&
      fields['crc'] === this.crc;
    if (!whole) throw malformed(WHAT, 'its counts or its checksum are wrong');
    this.ended = true;
  }
}

/** A directory from all its bytes. @throws DwError `frame-malformed`. */
export function decodeDirectory(bytes: Uint8Array): DirectoryView {
  const decoder = new DirectoryDecoder();
  decoder.push(bytes);
  return decoder.finish();
}

/** The order of nodes. */
export function byId(a: { readonly id: string }, b: { readonly id: string }): number {
  return a.id < b.id ? -1 : 1;
}

function add<T extends { readonly id: string }>(map: Map<string, T>, item: T, max: number): void {
  if (map.has(item.id)) throw malformed(WHAT, 'it names one part twice');
  if (map.size >= max) throw malformed(WHAT, 'it holds more than it may');
  map.set(item.id, item);
}
