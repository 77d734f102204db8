// Policies of real nodes: set by command, kept over kills, tried against a server that fails, and breakers that other
// nodes hear of.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestCluster } from '../support/cluster.js';
import { TestProcess, eventually } from '../support/processes.js';

const POLICY = {
  name: 'shop',
  description: 'calls of the shop',
  strategies: [
    { type: 'circuit-breaker', window: { kind: 'consecutive', failures: 3 }, breakMs: 1_000 },
    { type: 'timeout', timeoutMs: 5_000 },
  ],
};

/** Answers 503 so many times, then 204; says each request. */
const FLAKY = `
  let left = Number(process.argv[1]);
  const server = require('node:http').createServer((request, response) => {
    console.log('asked');
    response.writeHead(left-- > 0 ? 503 : 204).end();
  });
  server.listen(0, '127.0.0.1', () => console.log('port ' + server.address().port + ' ready'));
  process.stdin.on('end', () => process.exit()).resume();
`;

let cluster: TestCluster;
const others: TestProcess[] = [];

beforeAll(async () => {
  cluster = await TestCluster.create({ proxied: false, plugins: ['@datawarehouse/plugin-resilience'] });
  await cluster.start();
}, 60_000);

afterAll(async () => {
  await Promise.all(others.map((one) => one.kill()));
  await cluster.stop();
});

async function dw(node: string, ...args: string[]): Promise<{ code: number | null; output: string }> {
  const command = TestProcess.dw(`dw ${args[0] ?? ''}`, [
    'resilience',
    ...args,
    '--url',
    cluster.node(node).url,
  ]);
  const { code } = await command.exited;
  return { code, output: command.output };
}

async function flaky(failures: number): Promise<{ url: string; asked: () => number }> {
  const server = TestProcess.start('flaky server', process.execPath, ['-e', FLAKY, String(failures)]);
  others.push(server);
  await server.until(/port \d+ ready/);
  const port = /port (\d+) ready/.exec(server.output)?.[1] ?? '';
  return {
    url: `http://127.0.0.1:${port}/`,
    asked: () => server.output.split('\n').filter((line) => line === 'asked').length,
  };
}

async function breaker(node: string, key: string): Promise<{ state: string; sources: string[] } | undefined> {
  const query = new URLSearchParams({ key });
  const response = await fetch(`${cluster.node(node).url}/v1/resilience/policies/shop?${query.toString()}`);
  if (!response.ok) return undefined;
  const shown = (await response.json()) as {
    keys: { layers: { state?: { state: string; transitions: { source: string }[] } }[] }[];
  };
  const view = shown.keys[0]?.layers[0]?.state;
  return view && { state: view.state, sources: view.transitions.map(({ source }) => source) };
}

async function setOn(node: string, policy: object): Promise<{ code: number | null; output: string }> {
  const file = join(cluster.directory, `policy-${node}.json`);
  await writeFile(file, JSON.stringify(policy));
  return dw(node, 'set', file);
}

describe('policies of real nodes', () => {
  it('that were set are there after the node was killed', async () => {
    expect(await setOn('n1', POLICY)).toEqual({ code: 0, output: 'policy shop was added\n' });
    await cluster.kill('n1');
    await cluster.start();
    const { code, output } = await dw('n1', 'show', 'shop');
    expect(code).toBe(0);
    expect(output).toMatch(/^shop \(run-time, by http at .*\): calls of the shop/);
    expect((await dw('n2', 'show', 'shop')).output).toContain('(policy-unknown)');
  }, 60_000);

  it('that cannot work are refused by name of what is wrong, with exit code 1', async () => {
    const total = { type: 'timeout', name: 'total', timeoutMs: 10 };
    const refused = await setOn('n1', { ...POLICY, strategies: [total, { type: 'timeout' }] });
    expect(refused.code).toBe(1);
    expect(refused.output).toContain('total-timeout-below-attempt');
    const { output } = await dw('n1', 'explain', 'shop');
    expect(output).toContain('At worst one call makes at most 1 attempt and takes at most 5 s.');
  }, 60_000);

  it('let a newcomer watch a breaker open, probe, and close', async () => {
    await setOn('n1', POLICY);
    const { url, asked } = await flaky(5);
    const { code, output } = await dw('n1', 'try', 'shop', url, '--calls', '80', '--interval', '50');
    expect(code).toBe(0);
    const order = [
      'closed -> open for 1.0 s: 3 calls failed in a row',
      'rejected: circuit-open, 0 attempts',
      'open -> half-open',
      'half-open -> open',
      'half-open -> closed',
      'succeeded: status 204',
      '80 calls in ',
    ];
    const places = order.map((text) => output.indexOf(text));
    expect(
      places.every((place) => place >= 0),
      output,
    ).toBe(true);
    expect(places).toEqual([...places].sort((a, b) => a - b));
    // The server was spared what the breaker turned away.
    expect(output).toContain(`; ${asked()} attempts reached the URL`);
    expect(asked()).toBeLessThan(80);
  }, 60_000);

  it('open on the other nodes, too, which may have a probe as soon as one has closed', async () => {
    const lasting = {
      ...POLICY,
      strategies: [{ ...POLICY.strategies[0], breakMs: 3_600_000 }, POLICY.strategies[1]],
    };
    for (const node of ['n1', 'n2']) expect((await setOn(node, lasting)).code).toBe(0);
    const { url } = await flaky(1_000);
    await dw('n1', 'try', 'shop', url, '--calls', '3', '--interval', '0', '--key', 'shared');
    expect(await breaker('n1', 'shared')).toMatchObject({ state: 'open' });
    const heard = await eventually('n2 hears of it', async () => {
      const found = await breaker('n2', 'shared');
      return found?.state === 'open' ? found : undefined;
    });
    expect(heard.sources).toEqual(['remote']);
    expect((await dw('n1', 'reset', 'shop', '--key', 'shared')).code).toBe(0);
    await eventually('n2 may probe', async () => {
      const found = await breaker('n2', 'shared');
      return found?.state === 'half-open' ? true : undefined;
    });
  }, 60_000);
});
