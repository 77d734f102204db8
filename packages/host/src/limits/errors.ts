// What the limits service says when it refuses something.

import { DwError } from '@datawarehouse/sdk';

/** No subsystem has this name. */
export function subsystemUnknown(name: string, known: readonly string[]): DwError {
  const shown = name.length > 80 ? `${name.slice(0, 80)}…` : name;
  return new DwError({
    code: 'subsystem-unknown',
    status: 404,
    message: `there is no subsystem "${shown}"; there are ${known.length === 0 ? 'none' : known.join(', ')}`,
    hint: 'GET /v1/limits lists them',
  });
}

/** Another subsystem has this name. */
export function subsystemTaken(name: string, owner: string, wantedBy: string): DwError {
  return new DwError({
    code: 'subsystem-taken',
    status: 409,
    message: `${wantedBy} cannot register the subsystem "${name}": ${owner} has registered one of that name`,
    hint: `choose another name, or disable ${owner}`,
  });
}

/** What was registered is not a subsystem. */
export function subsystemInvalid(owner: string, why: string): DwError {
  return new DwError({
    code: 'subsystem-invalid',
    message: `${owner} registered a subsystem that cannot be used: ${why}`,
    hint: 'see IScalableSubsystem in @datawarehouse/sdk',
  });
}

/** A limit that the subsystem does not have. */
export function limitUnknown(
  subsystem: string,
  name: string,
  known: readonly string[],
  meant?: string,
): DwError {
  const shown = name.length > 80 ? `${name.slice(0, 80)}…` : name;
  return new DwError({
    code: 'limit-unknown',
    status: 422,
    message: `${subsystem} has no limit "${shown}"; it has ${known.join(', ')}`,
    hint: meant === undefined ? `GET /v1/limits/${subsystem} lists them` : `did you mean "${meant}"?`,
  });
}

/** A value outside of what the limit allows. */
export function limitOutOfRange(subsystem: string, name: string, value: unknown, allowed: string): DwError {
  const shown =
    typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? typeof value).slice(0, 80);
  return new DwError({
    code: 'limit-out-of-range',
    status: 422,
    message: `limit ${name} of ${subsystem} cannot be ${shown}: it must be ${allowed}`,
    hint: `choose ${allowed}`,
  });
}

/** A change names no limit, or is no object. */
export function limitsEmpty(subsystem: string): DwError {
  return new DwError({
    code: 'limit-unknown',
    status: 422,
    message: `the change of ${subsystem} names no limit`,
    hint: 'send {"limitName": number, …}',
  });
}

/** Too many changes wait for the same subsystem. */
export function limitsBusy(subsystem: string, waiting: number): DwError {
  return new DwError({
    code: 'limits-busy',
    status: 429,
    retryable: true,
    retryAfterMs: 1_000,
    message: `${waiting} changes of ${subsystem} wait already; nothing was done`,
  });
}

/** The subsystem did not take the change in time. */
export function limitsTimeout(subsystem: string, afterMs: number): DwError {
  return new DwError({
    code: 'outcome-unknown',
    status: 503,
    retryable: true,
    message: `${subsystem} did not take the change within ${afterMs} ms; it may have been applied and is not kept`,
    hint: `read GET /v1/limits/${subsystem}`,
  });
}

/** The change was taken, could not be kept on disk, and was taken back. */
export function limitsNotKept(subsystem: string, cause: unknown): DwError {
  return new DwError({
    code: 'limits-not-kept',
    status: 503,
    message: `the change of ${subsystem} could not be written to disk and was taken back`,
    cause,
    hint: 'look at the disk of the data directory',
  });
}
