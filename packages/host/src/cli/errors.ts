// How a command ends other than well, and with which exit code.

import { DwError, isDwError } from '@datawarehouse/sdk';

/** Exit codes of `dw`. */
export const EXIT = { done: 0, failed: 1, usage: 2 } as const;

/** The command line is wrong: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The host could not be reached. */
export function unreachable(url: string, cause: unknown): DwError {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? '';
  const why = REASONS[code] ?? (cause instanceof Error ? cause.message : String(cause));
  return new DwError({
    code: 'host-unreachable',
    message: `no host answers at ${url}: ${why}`,
    cause,
    retryable: true,
    hint: 'start one with "dw up", or name another with --url',
  });
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ENOTFOUND: 'the name is not known',
  ECONNRESET: 'it closed the connection',
  ETIMEDOUT: 'it did not answer in time',
};

/** A kept cluster is not the one that was asked for. */
export function clusterContradicts(directory: string, kept: string, asked: string): DwError {
  return new DwError({
    code: 'cluster-contradicts',
    message: `${directory} holds a cluster of ${kept}, and ${asked} was asked for`,
    hint: 'leave the options out to start the kept cluster, or choose another --data-dir',
  });
}

/** The file that describes a kept cluster is damaged. */
export function clusterFileDamaged(file: string, cause: unknown): DwError {
  return new DwError({
    code: 'cluster-file-damaged',
    message: `${file} is not a cluster description: ${cause instanceof Error ? cause.message : String(cause)}`,
    cause,
    hint: 'restore the file, or choose another --data-dir',
  });
}

/** A node cannot join a running cluster. */
export function cannotJoin(why: string, hint: string): DwError {
  return new DwError({ code: 'join-refused', message: `the node cannot join: ${why}`, hint });
}

/** A node of a local cluster did not come up. */
export function nodeDidNotStart(node: string, why: string): DwError {
  return new DwError({
    code: 'node-did-not-start',
    message: `${node} did not start: ${why}`,
    hint: 'its log says more',
  });
}

/** The exit code that belongs to what a command threw, and what to say about it. */
export function describeFailure(thrown: unknown): { readonly code: number; readonly text: string } {
  if (thrown instanceof UsageError) return { code: EXIT.usage, text: `dw: ${thrown.message}` };
  if (!isDwError(thrown)) {
    return { code: EXIT.failed, text: `dw: ${thrown instanceof Error ? thrown.message : String(thrown)}` };
  }
  const hint = thrown.hint === undefined ? '' : `\n    ${thrown.hint}`;
  return { code: EXIT.failed, text: `dw: ${thrown.message} (${thrown.code})${hint}` };
}
