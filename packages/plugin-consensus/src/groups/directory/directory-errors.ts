// What the directory refuses, as errors for those who asked over HTTP.

import { DwError } from '@datawarehouse/sdk';
import type { DirectoryRefusal } from './directory-command.js';

interface Explanation {
  readonly status: number;
  readonly message: string;
  readonly hint: string;
  readonly retryable?: boolean;
}

const EXPLANATIONS: Readonly<Partial<Record<DirectoryRefusal, Explanation>>> = {
  'directory-empty': {
    status: 503,
    message: 'the cluster has just begun and has no directory yet',
    hint: 'ask again in a moment',
    retryable: true,
  },
  'directory-full': {
    status: 503,
    message: 'the directory holds all that it can hold',
    hint: 'retire nodes that are not needed',
  },
  'node-id-taken': {
    status: 409,
    message: 'the id belongs to another node',
    hint: 'choose another --node-id, or leave it out; a node that was retired must be removed first',
  },
  'node-address-taken': {
    status: 409,
    message: 'an address belongs to another node',
    hint: 'choose other ports',
  },
  'node-unknown': { status: 404, message: 'there is no such node', hint: 'dw nodes lists the nodes' },
  'node-last': {
    status: 409,
    message: 'the last node of a cluster cannot be retired',
    hint: 'let another node join first',
  },
};

/** The error for a command that was refused. */
export function directoryRefused(code: DirectoryRefusal, detail: string): DwError {
  const known = EXPLANATIONS[code];
  return new DwError({
    code,
    status: known?.status ?? 409,
    message: `Nothing was changed: ${known?.message ?? 'the directory of the cluster refuses it'} (${detail})`,
    ...(known === undefined ? {} : { hint: known.hint }),
    retryable: known?.retryable ?? false,
    ...(known?.retryable === true ? { retryAfterMs: 500 } : {}),
  });
}

/** A node is the only voter of groups, and nobody can take its place. */
export function lastVoter(id: string, groups: readonly string[]): DwError {
  return new DwError({
    code: 'node-last-voter',
    status: 409,
    message: `${id} cannot be retired: nobody else votes in ${groups.slice(0, 8).join(', ')}, and no other node can be reached to take its place`,
    hint: 'start another node, or let one join with dw start --join, and ask again',
    details: { groups: groups.slice(0, 100) },
  });
}
