// Checks a value from outside against a schema and fills the schema's defaults in. It knows the part of JSON Schema that
// the options of strategies use, and names for each problem the field and what is allowed there. All problems are found,
// not only the first: who writes a policy by hand corrects it once.

import type { TSchema } from '@datawarehouse/sdk';

/** More problems than this help nobody, and what they are made of comes from strangers. */
const MAX_PROBLEMS = 20;
const MAX_SHOWN = 60;

/** The words of JSON Schema that are understood. */
interface Schema {
  readonly type?: string;
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly default?: unknown;
}

type Field = Readonly<Record<string, unknown>>;

/** Collects what is wrong. */
class Problems {
  readonly found: string[] = [];

  add(where: string, wrong: string): void {
    if (this.found.length < MAX_PROBLEMS) this.found.push(`${where} ${wrong}`);
  }
}

/** What {@link checkValue} found. */
export type CheckedValue =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly problems: string[] };

/**
 * Checks plain JSON data. The value is not changed; the one that is given back is a new one with defaults.
 * @param where what the value is called in problems, such as `strategies[2]`; fields are named after it with a dot.
 */
export function checkValue(schema: TSchema, value: unknown, where = ''): CheckedValue {
  const problems = new Problems();
  const checked = check(schema, value, where, problems);
  return problems.found.length === 0 ? { ok: true, value: checked } : { ok: false, problems: problems.found };
}

function check(schema: Schema, value: unknown, where: string, problems: Problems): unknown {
  if (schema.anyOf !== undefined) return checkUnion(schema.anyOf, value, where, problems);
  if (Object.hasOwn(schema, 'const')) {
    if (value !== schema.const) problems.add(where, `must be ${show(schema.const)}, not ${show(value)}`);
    return value;
  }
  switch (schema.type) {
    case 'object':
      return checkObject(schema, value, where, problems);
    case 'array':
      return checkArray(schema, value, where, problems);
    case 'string':
      return checkText(schema, value, where, problems);
    case 'number':
    case 'integer':
      return checkNumber(schema, value, where, problems);
    case 'boolean':
    case 'null':
      if (kindOf(value) !== schema.type) problems.add(where, `must be ${schema.type}, not ${show(value)}`);
      return value;
    case undefined:
    default:
      // Any JSON value.
      return value;
  }
}

function checkObject(schema: Schema, value: unknown, where: string, problems: Problems): unknown {
  if (!isObject(value)) {
    problems.add(where || 'the document', `must be an object, not ${show(value)}`);
    return value;
  }
  const properties = schema.properties ?? {};
  const checked: Record<string, unknown> = {};
  for (const name of Object.keys(value)) {
    if (!Object.hasOwn(properties, name)) problems.add(within(where, name), unknownField(name, properties));
  }
  for (const [name, field] of Object.entries(properties)) {
    const at = within(where, name);
    const given = Object.hasOwn(value, name) ? value[name] : undefined;
    if (given !== undefined) checked[name] = check(field, given, at, problems);
    else if (Object.hasOwn(field, 'default')) checked[name] = check(field, field.default, at, problems);
    else if (schema.required?.includes(name) === true) problems.add(at, `is missing${wanted(field)}`);
  }
  return checked;
}

function checkArray(schema: Schema, value: unknown, where: string, problems: Problems): unknown {
  if (!Array.isArray(value)) {
    problems.add(where, `must be a list, not ${show(value)}`);
    return value;
  }
  const { minItems = 0, maxItems = Infinity, items } = schema;
  if (value.length < minItems) problems.add(where, `must have at least ${minItems} entries`);
  if (value.length > maxItems) {
    problems.add(where, `must have at most ${maxItems} entries, not ${value.length}`);
    return value;
  }
  return items === undefined
    ? value
    : value.map((item: unknown, at) => check(items, item, `${where}[${at}]`, problems));
}

function checkText(schema: Schema, value: unknown, where: string, problems: Problems): unknown {
  const { minLength = 0, maxLength = Infinity, pattern } = schema;
  if (typeof value !== 'string') problems.add(where, `must be text, not ${show(value)}`);
  else if (value.length < minLength || value.length > maxLength) {
    problems.add(where, `must have ${minLength} to ${maxLength} characters, not ${value.length}`);
  } else if (pattern !== undefined && !new RegExp(pattern, 'u').test(value)) {
    problems.add(where, `must match ${pattern}, which ${show(value)} does not`);
  }
  return value;
}

function checkNumber(schema: Schema, value: unknown, where: string, problems: Problems): unknown {
  const noun = schema.type === 'integer' ? 'a whole number' : 'a number';
  const right = schema.type === 'integer' ? Number.isSafeInteger(value) : Number.isFinite(value);
  const within =
    right &&
    (value as number) >= (schema.minimum ?? -Infinity) &&
    (value as number) > (schema.exclusiveMinimum ?? -Infinity) &&
    (value as number) <= (schema.maximum ?? Infinity);
  if (!within) problems.add(where, `must be ${noun}${range(schema)}, not ${show(value)}`);
  return value;
}

function range({ minimum, exclusiveMinimum, maximum }: Schema): string {
  const above = exclusiveMinimum === undefined ? '' : ` above ${exclusiveMinimum}`;
  if (minimum !== undefined && maximum !== undefined) return ` from ${minimum} to ${maximum}`;
  if (minimum !== undefined) return ` of at least ${minimum}`;
  if (maximum !== undefined) return `${above}${above && ' and'} of at most ${maximum}`;
  return above;
}

/** Of a union the branch that the value means is the one to complain about. */
function checkUnion(branches: readonly Schema[], value: unknown, where: string, problems: Problems): unknown {
  const meant = branches.filter((branch) => fits(branch, value));
  const branch = meant.length === 1 ? meant[0] : undefined;
  if (branch !== undefined) return check(branch, value, where, problems);
  for (const candidate of meant) {
    const tried = new Problems();
    const checked = check(candidate, value, where, tried);
    if (tried.found.length === 0) return checked;
  }
  problems.add(where, `must be ${alternatives(branches, value)}, not ${show(meantBy(branches, value))}`);
  return value;
}

/** Whether the value is of the branch's kind, so that what is wrong with it is wrong within that branch. */
function fits(branch: Schema, value: unknown): boolean {
  if (branch.anyOf !== undefined) return branch.anyOf.some((inner) => fits(inner, value));
  if (Object.hasOwn(branch, 'const')) return value === branch.const;
  if (branch.type === 'integer') return typeof value === 'number';
  if (branch.type !== undefined && branch.type !== kindOf(value)) return false;
  const tags = tagsOf(branch);
  return !isObject(value) || tags.every(([name, tag]) => value[name] === tag);
}

/** The properties that tell the branches of a union apart: those that have one value each. */
function tagsOf(branch: Schema): (readonly [string, unknown])[] {
  return Object.entries(branch.properties ?? {}).flatMap(([name, field]) =>
    Object.hasOwn(field, 'const') && branch.required?.includes(name) === true
      ? [[name, field.const] as const]
      : [],
  );
}

function alternatives(branches: readonly Schema[], value: unknown): string {
  const tagged = branches.map(tagsOf).filter((tags) => tags.length > 0);
  if (isObject(value) && tagged.length > 0) {
    const name = tagged[0]?.[0]?.[0] ?? '';
    return `an object whose ${name} is ${oneOf(tagged.map((tags) => show(tags[0]?.[1])))}`;
  }
  return oneOf([
    ...new Set(
      branches.map((branch) => (Object.hasOwn(branch, 'const') ? show(branch.const) : article(branch))),
    ),
  ]);
}

/** What of the value decides between branches: its tag, if the branches have one. */
function meantBy(branches: readonly Schema[], value: unknown): unknown {
  const tag = branches.map(tagsOf).find((tags) => tags.length > 0)?.[0]?.[0];
  return tag !== undefined && isObject(value) ? value[tag] : value;
}

function article({ type }: Schema): string {
  if (type === undefined || type === 'null') return type ?? 'any value';
  if (type === 'string') return 'text';
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}

function oneOf(texts: readonly string[]): string {
  return texts.length < 2 ? (texts[0] ?? '') : `${texts.slice(0, -1).join(', ')} or ${texts.at(-1) ?? ''}`;
}

function wanted(field: Schema): string {
  const values = field.anyOf?.flatMap((branch) =>
    Object.hasOwn(branch, 'const') ? [show(branch.const)] : [],
  );
  if (Object.hasOwn(field, 'const')) return `; it must be ${show(field.const)}`;
  return values === undefined || values.length === 0 ? '' : `; it must be ${oneOf(values)}`;
}

function unknownField(name: string, properties: Readonly<Record<string, Schema>>): string {
  const known = Object.keys(properties);
  const near = known.find((one) => one.toLowerCase() === name.toLowerCase());
  const meant = near === undefined ? '' : `; did you mean ${near}?`;
  return `is not a known field; allowed are ${known.join(', ') || 'none'}${meant}`;
}

function within(where: string, name: string): string {
  const shown = name.length > MAX_SHOWN ? `${name.slice(0, MAX_SHOWN)}…` : name;
  return where === '' ? shown : `${where}.${shown}`;
}

function isObject(value: unknown): value is Field {
  return kindOf(value) === 'object';
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

/** A value in a sentence. */
function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}
