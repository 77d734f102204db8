// What a failure is called where an operator reads why a breaker opened: its code or its name, never its message, which
// may hold what nobody else should see.

const MAX_LENGTH = 64;

/** A short name of anything that was thrown. */
export function failureName(thrown: unknown): string {
  if (typeof thrown !== 'object' || thrown === null) return `a ${typeof thrown} that was thrown`;
  try {
    const { code, name } = thrown as { code?: unknown; name?: unknown };
    if (typeof code === 'string' && code !== '') return code.slice(0, MAX_LENGTH);
    if (typeof name === 'string' && name !== '') return name.slice(0, MAX_LENGTH);
    return 'an error without a name';
  } catch {
    return 'an error that cannot be looked at';
  }
}
