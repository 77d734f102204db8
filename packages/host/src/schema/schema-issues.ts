// Turns what the schema validator found into sentences: which field, what is wrong, what is allowed.

import type { ErrorObject } from 'ajv';
import { nearestName } from './nearest-name.js';

/** More than this many sentences help nobody. */
const MAX_ISSUES = 20;
const MAX_SHOWN = 60;

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}

/** `/http/port` → `http.port`; `/plugins/0/package` → `plugins[0].package`; the root is `root`. */
function fieldName(pointer: string, root: string): string {
  if (pointer === '') return root;
  let name = '';
  for (const segment of pointer.slice(1).split('/')) {
    const key = segment.replaceAll('~1', '/').replaceAll('~0', '~');
    if (/^\d+$/.test(key)) name += `[${key}]`;
    else name += name === '' ? key : `.${key}`;
  }
  return `"${name}"`;
}

function memberName(pointer: string, member: string): string {
  return fieldName(`${pointer}/${member.replaceAll('~', '~0').replaceAll('/', '~1')}`, '');
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

function unknownField(error: ErrorObject): string {
  const unknown = String(error.params['additionalProperty']);
  const known = Object.keys((error.parentSchema?.['properties'] ?? {}) as object);
  const suggestion = nearestName(unknown, known);
  const allowed = known.length === 0 ? 'none is allowed here' : `allowed are ${known.join(', ')}`;
  const meant = suggestion === undefined ? '' : `; did you mean "${suggestion}"?`;
  return `${memberName(error.instancePath, unknown.slice(0, MAX_SHOWN))} is not a known field: ${allowed}${meant}`;
}

const BOUND_WORDS: Readonly<Record<string, string>> = {
  '>=': 'at least',
  '<=': 'at most',
  '>': 'more than',
  '<': 'less than',
};

function describe(error: ErrorObject, root: string): string {
  const field = fieldName(error.instancePath, root);
  const { params } = error;
  switch (error.keyword) {
    case 'required':
      return `${memberName(error.instancePath, String(params['missingProperty']))} is missing`;
    case 'additionalProperties':
      return unknownField(error);
    case 'type':
      return `${field} must be ${String(params['type']).replaceAll(',', ' or ')}, not ${typeOf(error.data)}`;
    case 'enum':
      return `${field} must be one of ${show(params['allowedValues'])}, not ${show(error.data)}`;
    case 'const':
      return `${field} must be ${show(params['allowedValue'])}, not ${show(error.data)}`;
    case 'minimum':
    case 'maximum':
    case 'exclusiveMinimum':
    case 'exclusiveMaximum':
      return `${field} must be ${BOUND_WORDS[String(params['comparison'])] ?? ''} ${String(params['limit'])}, not ${show(error.data)}`;
    case 'minLength':
      return `${field} must have at least ${String(params['limit'])} characters`;
    case 'maxLength':
      return `${field} must have at most ${String(params['limit'])} characters`;
    case 'pattern': {
      const description: unknown = error.parentSchema?.['description'];
      const wanted =
        typeof description === 'string' ? description : `text that matches ${String(params['pattern'])}`;
      return `${field} must be ${wanted}, not ${show(error.data)}`;
    }
    default:
      return `${field} ${error.message ?? 'is not allowed'}`;
  }
}

/** A union whose branches are all constants reads as a list of what is allowed, not as one complaint for each. */
function describeUnion(error: ErrorObject, root: string): string | undefined {
  const branches: unknown = error.parentSchema?.[error.keyword];
  if (!Array.isArray(branches)) return undefined;
  const allowed = branches.map((branch: unknown) => (branch as { const?: unknown } | null)?.const);
  if (allowed.some((value) => value === undefined)) return undefined;
  return `${fieldName(error.instancePath, root)} must be one of ${allowed.map(show).join(', ')}, not ${show(error.data)}`;
}

/**
 * Sentences for the errors of one validation, at most 20.
 * @param root how the checked value itself is called, such as `the body`.
 */
export function schemaIssues(errors: readonly ErrorObject[], root: string): string[] {
  const unions = errors.filter((error) => error.keyword === 'anyOf' || error.keyword === 'oneOf');
  const explained = unions.filter((error) => describeUnion(error, root) !== undefined);
  const issues = new Set<string>();
  for (const error of errors) {
    const isBranch = explained.some(
      (union) => error !== union && error.schemaPath.startsWith(`${union.schemaPath}/`),
    );
    if (isBranch) continue;
    if (issues.size >= MAX_ISSUES) {
      issues.add(`and more: ${errors.length} findings in all`);
      break;
    }
    issues.add(describeUnion(error, root) ?? describe(error, root));
  }
  return [...issues];
}
