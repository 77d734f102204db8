// A policy as data: what configuration, HTTP, the command line and the bus hand over. It is read here once, checked whole
// and with every default filled in; nothing behind this file looks at a document that was not read by it.

import { Type, errorMessage } from '@datawarehouse/sdk';
import { ADAPTIVE_OPTIONS, adaptiveProblems } from '../adaptive/adaptive-options.js';
import type { AdaptiveOptions } from '../adaptive/adaptive-options.js';
import type { StrategyType } from '../engine/layer.js';
import type { StrategyOptions } from '../engine/strategy.js';
import { policyInvalid } from '../errors.js';
import { checkValue } from './check-value.js';
import { STRATEGY_SCHEMAS } from './strategy-schemas.js';
import type { StrategySchemas } from './strategy-schemas.js';

/** Strategies in one policy at most. More than this is a mistake; each is passed twice by every call. */
export const MAX_STRATEGIES = 16;

/** Characters of a document as JSON at most. The largest part of a sane one is a fallback's value. */
export const MAX_DOCUMENT_CHARACTERS = 64 * 1024;

/** How deep a document may be nested: a fallback's value that is deeper than this is no value for people. */
const MAX_DEPTH = 32;

/** What a document is called in errors when its name cannot be told. */
const NAMELESS = '(without a name)';

const NAME = '^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$';

/** Names of policies: 1 to 128 of `a-z`, `0-9`, `.` and `-`, beginning and ending with a letter or digit. */
export const PolicyName = Type.String({ minLength: 1, maxLength: 128, pattern: NAME });

/** A policy, with every default filled in. */
export interface PolicyDocument {
  readonly name: string;
  /** What it is for, for people. */
  readonly description?: string;
  /** Whether thresholds move by themselves, and how. Undefined: as the node is configured, which by default is not. */
  readonly adaptive?: AdaptiveOptions;
  /** Outermost first. */
  readonly strategies: readonly StrategyOptions[];
}

/** `true` and `false`, or options of which each has a default; naming any of them means `true`. */
export const ADAPTIVE = Type.Union(
  [
    Type.Boolean(),
    Type.Object(
      { ...ADAPTIVE_OPTIONS.properties, enabled: Type.Boolean({ default: true }) },
      { additionalProperties: false },
    ),
  ],
  { description: 'Whether thresholds move by themselves: true, false, or how' },
);

/** Options of `adaptive` as it stands in documents and in the configuration, which were checked. */
export function readAdaptive(given: unknown, called = NAMELESS): AdaptiveOptions | undefined {
  if (given === undefined) return undefined;
  const options = typeof given === 'boolean' ? { enabled: given } : given;
  const checked = checkValue(ADAPTIVE, options, 'adaptive');
  if (!checked.ok) throw policyInvalid(called, checked.problems);
  const read = checked.value as AdaptiveOptions;
  const problems = adaptiveProblems(read);
  if (problems.length > 0) throw policyInvalid(called, problems);
  return read;
}

const FRAME = Type.Object(
  {
    name: PolicyName,
    description: Type.Optional(Type.String({ maxLength: 512 })),
    adaptive: Type.Optional(ADAPTIVE),
    strategies: Type.Array(Type.Unknown(), { maxItems: MAX_STRATEGIES }),
  },
  { additionalProperties: false },
);

/**
 * Reads a policy document.
 * @param value Anything; what is not plain JSON data is refused.
 * @returns A new, frozen document.
 * @throws DwError `policy-invalid` with all that is wrong (`details.problems`); nothing else.
 */
export function readPolicyDocument(
  value: unknown,
  schemas: StrategySchemas = STRATEGY_SCHEMAS,
): PolicyDocument {
  const plain = plainCopy(value);
  const frame = checkValue(FRAME, plain);
  const problems = frame.ok ? [] : frame.problems;
  const strategies: StrategyOptions[] = [];
  for (const [at, given] of listOf(plain).entries()) {
    const read = readStrategy(given, `strategies[${at}]`, schemas);
    if ('problems' in read) problems.push(...read.problems);
    else strategies.push(read.options);
  }
  if (problems.length === 0) problems.push(...repeatedNames(strategies));
  if (!frame.ok || problems.length > 0) throw policyInvalid(nameOf(plain), problems);
  const { adaptive: asked, ...rest } = frame.value as Readonly<Record<string, unknown>> & {
    readonly name: string;
  };
  const adaptive = readAdaptive(asked, rest.name);
  return deepFreeze({ ...rest, ...(adaptive === undefined ? {} : { adaptive }), strategies });
}

/** What a strategy goes by within its policy. */
export function strategyName({ name, type }: StrategyOptions): string {
  return name ?? type;
}

function plainCopy(value: unknown): unknown {
  let text: string | undefined;
  try {
    // Leaves getters, cycles and prototypes behind; what is nested deeper than the stack fails here.
    text = JSON.stringify(value);
  } catch (thrown) {
    throw policyInvalid(NAMELESS, [`the document is not plain JSON data: ${errorMessage(thrown)}`]);
  }
  if (text === undefined) throw policyInvalid(NAMELESS, ['the document must be an object, not nothing']);
  if (text.length > MAX_DOCUMENT_CHARACTERS) {
    throw policyInvalid(nameOf(value), [
      `the document has ${text.length} characters; at most ${MAX_DOCUMENT_CHARACTERS} are allowed`,
    ]);
  }
  const copy = JSON.parse(text) as unknown;
  if (isDeeperThan(copy, MAX_DEPTH)) {
    throw policyInvalid(nameOf(copy), [`the document is nested deeper than ${MAX_DEPTH} levels`]);
  }
  return copy;
}

function isDeeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeperThan(inner, levels - 1));
}

/** The strategies as given, as far as there are not too many to look at. */
function listOf(document: unknown): readonly unknown[] {
  const given = (document as { strategies?: unknown } | null)?.strategies;
  return Array.isArray(given) && given.length <= MAX_STRATEGIES ? given : [];
}

function nameOf(document: unknown): string {
  const name = (document as { name?: unknown } | null)?.name;
  return typeof name === 'string' && name !== '' ? name.slice(0, 128) : NAMELESS;
}

function readStrategy(
  given: unknown,
  where: string,
  schemas: StrategySchemas,
): { readonly options: StrategyOptions } | { readonly problems: readonly string[] } {
  const type = (given as { type?: unknown } | null)?.type;
  const known = Object.keys(schemas);
  const schema =
    typeof type === 'string' && Object.hasOwn(schemas, type) ? schemas[type as StrategyType] : undefined;
  if (schema === undefined) {
    const not = type === undefined ? '' : `, not ${(JSON.stringify(type) ?? 'that').slice(0, 60)}`;
    return { problems: [`${where}.type must be one of ${known.join(', ')}${not}`] };
  }
  const checked = checkValue(schema, given, where);
  return checked.ok ? { options: checked.value as StrategyOptions } : { problems: checked.problems };
}

/** Counters, transitions and changes are told by name, so each is one strategy's. */
function repeatedNames(strategies: readonly StrategyOptions[]): string[] {
  const first = new Map<string, number>();
  return strategies.flatMap((options, at) => {
    const name = strategyName(options);
    const before = first.get(name);
    if (before === undefined) {
      first.set(name, at);
      return [];
    }
    return [
      `strategies[${at}].name must tell it apart: strategies[${before}] is called ${JSON.stringify(name)}, too`,
    ];
  });
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  for (const inner of Object.values(value)) deepFreeze(inner);
  return Object.freeze(value);
}
