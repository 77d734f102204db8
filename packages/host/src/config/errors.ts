// What can be wrong with the configuration of a node.

import { DwError } from '@datawarehouse/sdk';

/** The configuration file cannot be read. */
export function configUnreadable(file: string, cause: NodeJS.ErrnoException): DwError {
  const why = cause.code === 'ENOENT' ? 'it does not exist' : cause.message;
  return new DwError({
    code: 'config-unreadable',
    message: `the configuration file ${file} cannot be read: ${why}`,
    cause,
    hint: 'give the path of a JSON file with --config',
  });
}

/** The configuration file is not JSON. */
export function configNotJson(file: string, cause: unknown): DwError {
  return new DwError({
    code: 'config-not-json',
    message: `the configuration file ${file} is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`,
    cause,
    hint: 'check the file with a JSON editor; comments and trailing commas are not allowed',
  });
}

/** Fields of the configuration are unknown, missing or wrong. */
export function configInvalid(where: string, issues: readonly string[]): DwError {
  return new DwError({
    code: 'config-invalid',
    message: `the configuration ${where} is wrong: ${issues.join('; ')}`,
    hint: 'correct the fields that are named',
    details: { issues },
  });
}

/** A listener would be open to the network without protection. */
export function configExposed(listener: string, host: string, missing: string): DwError {
  return new DwError({
    code: 'config-exposed',
    message: `"${listener}" would listen on ${host}, which others on the network can reach, without ${missing}`,
    hint: `set ${missing}, listen on 127.0.0.1, or write "insecure": true to accept it`,
  });
}
