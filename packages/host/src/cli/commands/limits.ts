// `dw limits`: shows limits and changes them.

import type { CommonOptions } from '../api-client.js';
import { withClient } from '../common-options.js';
import { UsageError } from '../errors.js';
import { printJson, printTable } from '../output.js';

interface Limit {
  readonly value: number;
  readonly unit: string;
  readonly min: number;
  readonly max: number;
  readonly default: number;
  readonly description: string;
}
type Limits = Readonly<Record<string, Limit>>;

interface Change {
  readonly applied: Readonly<Record<string, number>>;
  readonly previous: Readonly<Record<string, number>>;
}

/** `NAME=VALUE` → a limit's new value. @throws UsageError. */
export function parseChanges(changes: readonly string[]): Record<string, number> {
  const values: Record<string, number> = {};
  for (const change of changes) {
    const equals = change.indexOf('=');
    const name = change.slice(0, equals);
    const text = change.slice(equals + 1).replaceAll('_', '');
    const value = Number(text);
    if (equals < 1 || text.trim() === '' || !Number.isFinite(value)) {
      throw new UsageError(`"${change}" is not NAME=VALUE with a number`);
    }
    if (Object.hasOwn(values, name)) throw new UsageError(`limit ${name} is named twice`);
    values[name] = value;
  }
  return values;
}

function rows(subsystem: string, limits: Limits): (string | number)[][] {
  return Object.entries(limits).map(([name, limit]) => [
    subsystem,
    name,
    limit.value,
    limit.unit,
    limit.min,
    limit.max,
    limit.default,
    limit.description,
  ]);
}

const COLUMNS = ['subsystem', 'limit', 'value', 'unit', 'min', 'max', 'default', 'description'];

/** `dw limits [SUBSYSTEM] [NAME=VALUE …]`. */
export async function limits(
  subsystem: string | undefined,
  changes: readonly string[],
  options: CommonOptions,
): Promise<void> {
  if (subsystem?.includes('=') === true) throw new UsageError('name the subsystem before NAME=VALUE');
  const values = parseChanges(changes);
  await withClient(options, async (client) => {
    if (subsystem === undefined) {
      const all = await client.json<Readonly<Record<string, Limits>>>('GET', '/v1/limits');
      if (options.json === true) return printJson(all);
      return printTable(
        COLUMNS,
        Object.entries(all).flatMap(([name, of]) => rows(name, of)),
      );
    }
    const path = `/v1/limits/${encodeURIComponent(subsystem)}`;
    if (changes.length === 0) {
      const one = await client.json<Limits>('GET', path);
      return options.json === true ? printJson(one) : printTable(COLUMNS, rows(subsystem, one));
    }
    const change = await client.json<Change>('PATCH', path, { json: values });
    if (options.json === true) return printJson(change);
    return printTable(
      ['limit', 'before', 'now'],
      Object.entries(change.applied).map(([name, value]) => [name, change.previous[name], value]),
    );
  });
}
