import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DependencyNode } from './dependency-graph.js';
import { analyseDependencies, withDependents } from './dependency-graph.js';

const node = (id: string, provides: string[], requires: string[]): DependencyNode => ({
  id,
  provides,
  requires,
});

describe('problems', () => {
  test('the shortest of several loops is named', () => {
    const { problems } = analyseDependencies([
      node('a', ['a'], ['b', 'd']),
      node('b', ['b'], ['c']),
      node('c', ['c'], ['a']),
      node('d', ['d'], ['a']),
    ]);
    expect(problems.get('a')).toEqual({ kind: 'cycle', loop: ['a', 'd', 'a'] });
    const turned = analyseDependencies([
      node('a', ['a'], ['d', 'b']),
      node('b', ['b'], ['c']),
      node('c', ['c'], ['a']),
      node('d', ['d'], ['a']),
    ]);
    expect(turned.problems.get('a')).toEqual({ kind: 'cycle', loop: ['a', 'd', 'a'] });
    expect(problems.get('c')).toEqual({ kind: 'cycle', loop: ['c', 'a', 'b', 'c'] });
  });

  test('a plugin that needs what it provides itself is a loop of one', () => {
    const { problems } = analyseDependencies([node('a', ['s'], ['s'])]);
    expect(problems.get('a')).toEqual({ kind: 'cycle', loop: ['a', 'a'] });
  });

  test('missing and duplicate providers', () => {
    const { problems, providers } = analyseDependencies([
      node('b', ['s'], []),
      node('a', ['s'], []),
      node('c', [], ['nope']),
    ]);
    expect(problems.get('a')).toEqual({ kind: 'duplicate', service: 's', providers: ['a', 'b'] });
    expect(problems.get('c')).toEqual({ kind: 'missing', service: 'nope' });
    expect(providers.size).toBe(0);
  });
});

test('dependents are found through others', () => {
  const graph = analyseDependencies([
    node('a', ['sa'], []),
    node('b', ['sb'], ['sa']),
    node('c', [], ['sb']),
    node('d', [], []),
  ]);
  expect([...withDependents(['a'], graph)].sort()).toEqual(['a', 'b', 'c']);
});

describe('what a plugin can do without', () => {
  const user = (
    id: string,
    provides: string[],
    optional: string[],
    requires: string[] = [],
  ): DependencyNode => ({
    id,
    provides,
    requires,
    optional,
  });

  test('is no problem when nobody or more than one provides it, and makes no dependent', () => {
    const graph = analyseDependencies([
      user('a', [], ['nope', 'twice', 'sd']),
      node('b', ['twice'], []),
      node('c', ['twice'], []),
      node('d', ['sd'], []),
    ]);
    expect(graph.problems.get('a')).toBeUndefined();
    expect(graph.uses.get('a')).toEqual([{ service: 'sd', provider: 'd' }]);
    expect([...withDependents(['d'], graph)]).toEqual(['d']);
  });

  test('is not waited for where that would close a loop, by what is needed or by what is used', () => {
    const graph = analyseDependencies([
      user('a', ['sa'], ['sb']),
      user('b', ['sb'], [], ['sa']),
      user('c', ['sc'], ['sd', 'sa']),
      user('d', ['sd'], ['sc']),
      user('e', ['se'], ['se']),
    ]);
    expect(graph.problems.size).toBe(0);
    expect(graph.uses.get('a')).toEqual([]);
    expect(graph.uses.get('c')).toEqual([{ service: 'sa', provider: 'a' }]);
    expect(graph.uses.get('d')).toEqual([]);
    expect(graph.uses.get('e')).toEqual([]);
  });
});

const graphs = fc
  .integer({ min: 1, max: 8 })
  .chain((size) =>
    fc
      .array(fc.tuple(fc.nat(size - 1), fc.nat(size - 1)), { maxLength: 16 })
      .map((edges) => ({ size, edges })),
  )
  .map(({ size, edges }) =>
    Array.from({ length: size }, (_, i) =>
      node(
        `p${i}`,
        [`s${i}`],
        edges.filter(([from]) => from === i).map(([, to]) => `s${to}`),
      ),
    ),
  );

test('every loop named is one, and without a loop there is an order', () => {
  fc.assert(
    fc.property(graphs, (nodes) => {
      const { problems, needs } = analyseDependencies(nodes);
      for (const problem of problems.values()) {
        if (problem.kind !== 'cycle') continue;
        expect(problem.loop[0]).toBe(problem.loop.at(-1));
        problem.loop.slice(1).forEach((provider, i) => {
          expect(needs.get(problem.loop[i]!)?.some((need) => need.provider === provider)).toBe(true);
        });
        expect(new Set(problem.loop).size).toBe(problem.loop.length - 1);
      }
      // What is in no loop, and needs nothing that is, can be started one after the other.
      const bad = withDependents(problems.keys(), { problems, needs, uses: new Map(), providers: new Map() });
      const waiting = new Set(nodes.map(({ id }) => id).filter((id) => !bad.has(id)));
      for (let before = -1; before !== waiting.size;) {
        before = waiting.size;
        for (const id of waiting)
          if (!needs.get(id)?.some(({ provider }) => waiting.has(provider))) waiting.delete(id);
      }
      expect([...waiting]).toEqual([]);
    }),
  );
});

test('the answer does not depend on the order of the plugins', () => {
  fc.assert(
    fc.property(
      graphs.chain((nodes) =>
        fc.tuple(fc.constant(nodes), fc.shuffledSubarray(nodes, { minLength: nodes.length })),
      ),
      ([nodes, shuffled]) => {
        expect(analyseDependencies(shuffled)).toEqual(analyseDependencies(nodes));
      },
    ),
  );
});
