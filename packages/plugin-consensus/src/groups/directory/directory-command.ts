// The commands of the directory, their answers, and both as bytes. They are small and rare, so they are JSON, with a
// version of their own. A node must never be asked to apply a command that it does not know: new commands are sent only
// once every node of the directory's group knows them.

import { malformed } from '../../errors.js';
import {
  checkAddresses,
  checkArray,
  checkGroup,
  checkId,
  checkInteger,
  checkNode,
  checkRetired,
  checkStorageId,
  checkVoters,
  checkVotersPerGroup,
  fieldsOf,
} from './check-directory.js';
import type { DirectoryGroup, DirectoryNode, NodeAddresses, RetiredNode } from './directory-types.js';
import { MAX_GROUPS, MAX_NODES, MAX_RETIRED } from './directory-types.js';

/** A change of the directory. */
export type DirectoryCommand =
  /** Makes the directory, if nobody has. `after`: the version of a former one whose group is lost; 0 if none was. */
  | {
      readonly op: 'create';
      readonly after: number;
      readonly retired: readonly RetiredNode[];
      readonly votersPerGroup: number;
      readonly nodes: readonly DirectoryNode[];
      readonly groups: readonly DirectoryGroup[];
    }
  /** A node asks to become a member; without an id it gets the next free one. */
  | ({ readonly op: 'join'; readonly id: string | null } & NodeAddresses)
  /** A member tells its addresses and its storage. `replaces`: the storage that this one is known to take the place of. */
  | ({
      readonly op: 'announce';
      readonly id: string;
      readonly storageId: string;
      readonly replaces: string | null;
    } & NodeAddresses)
  /** A member is to go, or is to stay after all. */
  | { readonly op: 'retire' | 'keep'; readonly id: string }
  /** A retiring node is in no group any more. */
  | { readonly op: 'remove'; readonly id: string }
  /** A further group. */
  | { readonly op: 'add-group'; readonly group: DirectoryGroup }
  /** The voters of a group as of an index of its log. */
  | {
      readonly op: 'voters';
      readonly id: string;
      readonly voters: readonly string[];
      readonly index: number;
    };

/** Why a command changed nothing. */
export type DirectoryRefusal =
  | 'directory-exists'
  | 'directory-empty'
  | 'node-id-taken'
  | 'node-address-taken'
  | 'node-unknown'
  | 'node-not-retiring'
  | 'node-last'
  | 'node-votes'
  | 'storage-known'
  | 'storage-retired'
  | 'storage-unknown'
  | 'directory-full'
  | 'group-exists'
  | 'group-unknown'
  | 'command-malformed';

/** What became of a command. `version` is that of the directory afterwards; `detail` is for people. */
export type DirectoryAnswer =
  | { readonly ok: true; readonly version: number; readonly node: DirectoryNode | null }
  | {
      readonly ok: false;
      readonly version: number;
      readonly code: DirectoryRefusal;
      readonly detail: string;
    };

const FORMAT = 1;
const WHAT = 'a command of the directory';
/** A `create` with all that a directory can hold. */
const MAX_COMMAND_BYTES = 6 * 1024 * 1_024;

/** A command as bytes. */
export function encodeDirectoryCommand(command: DirectoryCommand): Buffer {
  return Buffer.from(JSON.stringify({ v: FORMAT, ...command }));
}

function parse(bytes: Uint8Array, what: string): Readonly<Record<string, unknown>> {
  if (bytes.length > MAX_COMMAND_BYTES) throw malformed(what, `it has ${bytes.length} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8'));
  } catch {
    throw malformed(what, 'it is not JSON');
  }
  return fieldsOf(value, what);
}

/** Bytes as a command, every field checked. @throws DwError `frame-malformed`. */
export function decodeDirectoryCommand(bytes: Uint8Array): DirectoryCommand {
  const fields = parse(bytes, WHAT);
  if (fields['v'] !== FORMAT) throw malformed(WHAT, 'its format is unknown');
  const { op } = fields;
  switch (op) {
    case 'create':
      return {
        op,
        after: checkInteger(fields['after'], 'after', 0, Number.MAX_SAFE_INTEGER - 1),
        retired: checkArray(fields['retired'], 'retired', MAX_RETIRED).map(checkRetired),
        votersPerGroup: checkVotersPerGroup(fields['votersPerGroup']),
        nodes: unique(checkArray(fields['nodes'], 'nodes', MAX_NODES).map(checkNode), 'nodes'),
        groups: unique(checkArray(fields['groups'], 'groups', MAX_GROUPS).map(checkGroup), 'groups'),
      };
    case 'join':
      return {
        op,
        id: fields['id'] === null ? null : checkId(fields['id'], 'id'),
        ...checkAddresses(fields),
      };
    case 'announce':
      return {
        op,
        id: checkId(fields['id'], 'id'),
        ...checkAddresses(fields),
        storageId: checkStorageId(fields['storageId']),
        replaces: fields['replaces'] === null ? null : checkStorageId(fields['replaces']),
      };
    case 'retire':
    case 'keep':
    case 'remove':
      return { op, id: checkId(fields['id'], 'id') };
    case 'add-group':
      return { op, group: checkGroup(fields['group']) };
    case 'voters':
      return {
        op,
        id: checkId(fields['id'], 'id'),
        voters: checkVoters(fields['voters']),
        index: checkInteger(fields['index'], 'index', 1, Number.MAX_SAFE_INTEGER),
      };
    default:
      throw malformed(WHAT, 'there is no such operation');
  }
}

function unique<T extends { readonly id: string }>(items: readonly T[], name: string): readonly T[] {
  if (new Set(items.map(({ id }) => id)).size < items.length)
    throw malformed(WHAT, `"${name}" names one twice`);
  return items;
}

/** An answer as bytes. */
export function encodeDirectoryAnswer(answer: DirectoryAnswer): Uint8Array {
  return Uint8Array.from(Buffer.from(JSON.stringify(answer)));
}

/** Bytes as an answer. They come from a node that applied the command. @throws DwError `frame-malformed`. */
export function decodeDirectoryAnswer(bytes: Uint8Array): DirectoryAnswer {
  const what = 'an answer of the directory';
  const fields = parse(bytes, what);
  const version = checkInteger(fields['version'], 'version', 0, Number.MAX_SAFE_INTEGER);
  if (fields['ok'] === true) {
    return { ok: true, version, node: fields['node'] === null ? null : checkNode(fields['node']) };
  }
  const { code, detail } = fields;
  if (typeof code !== 'string' || typeof detail !== 'string') throw malformed(what, 'it does not say why');
  return { ok: false, version, code: code as DirectoryRefusal, detail };
}
