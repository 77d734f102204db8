import { describe, expect, it } from 'vitest';
import { isDwError } from '@datawarehouse/sdk';
import type { HttpMethod, RouteDefinition } from '@datawarehouse/sdk';
import { RouteTable } from './route-table.js';

const run = <T>(fn: () => T): T => fn();

function route(method: HttpMethod, path: string): RouteDefinition {
  return { method, path, summary: 'a route of a test', handler: () => ({}) };
}

function codeOf(fn: () => unknown): string {
  try {
    fn();
  } catch (thrown) {
    return isDwError(thrown) ? thrown.code : `not a DwError: ${String(thrown)}`;
  }
  return 'nothing thrown';
}

describe('RouteTable', () => {
  it('finds a route and decodes its parameters once', () => {
    const table = new RouteTable();
    table.add('kv', route('GET', '/v1/kv/:key'), run);
    const match = table.match('GET', '/v1/kv/a%2Fb%2525%20c?consistency=stale');
    expect(match?.params).toEqual({ key: 'a/b%25 c' });
    expect(match?.query).toBe('consistency=stale');
  });

  it('matches a key of 1024 bytes that is percent-encoded throughout', () => {
    const table = new RouteTable();
    table.add('kv', route('GET', '/v1/kv/:key'), run);
    const key = 'é'.repeat(512);
    expect(table.match('GET', `/v1/kv/${encodeURIComponent(key)}`)?.params['key']).toBe(key);
  });

  it('gives the rest of the path as *', () => {
    const table = new RouteTable();
    table.add('files', route('GET', '/v1/files/*'), run);
    expect(table.match('GET', '/v1/files/a/b')?.params['*']).toBe('a/b');
  });

  it('names the owner when a route is taken, whatever its parameters are called', () => {
    const table = new RouteTable();
    table.add('first', route('GET', '/v1/things/:id'), run);
    expect(() => table.add('second', route('GET', '/v1/things/:name'), run)).toThrow(
      /first serves it already/,
    );
    expect(codeOf(() => table.add('second', route('GET', '/v1/things/:name'), run))).toBe('route-taken');
    table.add('second', route('PUT', '/v1/things/:name'), run);
    expect(table.count('second')).toBe(1);
  });

  it('leaves nothing behind when a route is disposed of, and disposing twice takes nobody else away', () => {
    const table = new RouteTable();
    const first = table.add('first', route('GET', '/v1/things/:id'), run);
    first[Symbol.dispose]();
    expect(table.count()).toBe(0);
    expect(table.match('GET', '/v1/things/1')).toBeUndefined();
    table.add('second', route('GET', '/v1/things/:id'), run);
    first[Symbol.dispose]();
    expect(table.match('GET', '/v1/things/1')?.entry.owner).toBe('second');
  });

  it('keeps the counters of a route that comes back', () => {
    const table = new RouteTable();
    const first = table.add('a', route('GET', '/v1/a'), run);
    table.match('GET', '/v1/a')?.entry.statistics.record(200, 3);
    first[Symbol.dispose]();
    table.add('a', route('GET', '/v1/a'), run);
    expect(table.allStatistics().get('GET /v1/a')?.count).toBe(1);
  });

  it.each(['things', '/v1/:id(\\d+)', '/v1/a*', '/v1//a', '/v1/:', `/${'x'.repeat(600)}`])(
    'refuses the path %s',
    (path) => {
      expect(codeOf(() => new RouteTable().add('p', route('GET', path), run))).toBe('route-invalid');
    },
  );

  it.each(['/v1/kv/%zz', '/v1/kv/%', '/v1/kv/%FF', '/v1/kv/%C3%28'])('refuses the escape in %s', (url) => {
    const table = new RouteTable();
    table.add('kv', route('GET', '/v1/kv/:key'), run);
    expect(codeOf(() => table.match('GET', url))).toBe('bad-percent-encoding');
  });

  it('refuses a parameter longer than any key', () => {
    const table = new RouteTable();
    table.add('kv', route('GET', '/v1/kv/:key'), run);
    expect(codeOf(() => table.match('GET', `/v1/kv/${'k'.repeat(9_000)}`))).toBe('uri-too-long');
  });

  it('tells which methods a path answers', () => {
    const table = new RouteTable();
    table.add('kv', route('GET', '/v1/kv/:key'), run);
    table.add('kv', route('PUT', '/v1/kv/:key'), run);
    expect(table.methodsOf('/v1/kv/a')).toEqual(['GET', 'PUT', 'HEAD', 'OPTIONS']);
    expect(table.methodsOf('/v1/nothing')).toEqual([]);
  });
});
