import { describe, expect, it } from 'vitest';
import { Type } from '@datawarehouse/sdk';
import { nearestName } from './nearest-name.js';
import { SchemaChecker } from './schema-checker.js';

const issues = (checker: SchemaChecker, schema: object, value: unknown): string[] => {
  const checked = checker.check(schema, value);
  return checked.ok ? [] : checked.issues;
};

describe('SchemaChecker', () => {
  it('fills in defaults on a copy', () => {
    const given = { a: {} };
    const schema = Type.Object({ a: Type.Object({ b: Type.Integer({ default: 4 }) }) });
    expect(new SchemaChecker().check(schema, given)).toEqual({ ok: true, value: { a: { b: 4 } } });
    expect(given).toEqual({ a: {} });
  });

  it('compiles a schema once and judges by its identity', () => {
    const checker = new SchemaChecker();
    const first = { $id: 'same', type: 'string' };
    const second = { $id: 'same', type: 'number' };
    expect(checker.check(first, 'a').ok).toBe(true);
    expect(checker.check(second, 1).ok).toBe(true);
    expect(checker.check(first, 'b').ok).toBe(true);
  });

  it.each([
    ['an unknown type', { type: 'strnig' }],
    ['a reference to elsewhere', { $ref: 'https://example.com/schema.json' }],
    ['a reference to nothing', { $ref: '#/definitions/none' }],
    ['a broken pattern', { type: 'string', pattern: '(' }],
    ['an asynchronous schema', { $async: true, type: 'object' }],
    ['a schema without end', { enum: Array.from({ length: 100_000 }, (_, i) => `value ${i}`) }],
    [
      'a getter that throws',
      {
        get type(): string {
          throw new Error('no');
        },
      },
    ],
  ])('makes an issue of %s', (_, schema) => {
    const checker = new SchemaChecker();
    expect(issues(checker, schema, {})[0]).toMatch(/^the schema /);
    expect(checker.problemOf(schema)).toBeDefined();
    expect(checker.check(Type.String(), 'still works').ok).toBe(true);
  });

  it('makes an issue of a value that is nested deeper than the stack', () => {
    const schema = { $id: 'deep', type: 'array', items: { $ref: '#' } };
    const deep: unknown = JSON.parse(`${'['.repeat(200_000)}${']'.repeat(200_000)}`);
    expect(issues(new SchemaChecker({ allErrors: false }), schema, deep)[0]).toContain('cannot be checked');
  });

  it('says no more than twenty things, and that there are more', () => {
    const found = issues(
      new SchemaChecker(),
      Type.Array(Type.Integer()),
      Array.from({ length: 50 }, () => 'x'),
    );
    expect(found).toHaveLength(21);
    expect(found.at(-1)).toBe('and more: 50 findings in all');
  });

  it('stops at the first error when told to', () => {
    const checker = new SchemaChecker({ allErrors: false });
    expect(issues(checker, Type.Array(Type.Integer()), ['a', 'b'])).toHaveLength(1);
  });

  it('stays small however many schemas come', () => {
    const checker = new SchemaChecker();
    for (let i = 0; i < 1_100; i++) checker.check({ const: i }, i);
    expect((checker as unknown as { compiled: Map<object, unknown> }).compiled.size).toBeLessThanOrEqual(
      1_000,
    );
  });
});

describe('nearestName', () => {
  it('finds what was meant', () => {
    expect(nearestName('prot', ['host', 'port', 'tls'])).toBe('port');
    expect(nearestName('dataDri', ['nodeId', 'dataDir'])).toBe('dataDir');
    expect(nearestName('NODEID', ['nodeId'])).toBe('nodeId');
  });

  it('suggests nothing far-fetched', () => {
    expect(nearestName('banana', ['host', 'port'])).toBeUndefined();
    expect(nearestName('x'.repeat(10_000), ['x'])).toBeUndefined();
  });
});
