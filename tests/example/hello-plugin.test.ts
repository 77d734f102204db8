// A third party's way, whole: the SDK is packed, the example is copied out of the workspace and built against the
// packed SDK there, and a running host loads it by its manifest.

import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ROOT, TestProcess, eventually, freePorts } from '../support/processes.js';

const run = promisify(execFile);
const npm = (cwd: string, ...args: string[]) => run('npm', args, { cwd, maxBuffer: 16 * 1024 * 1024 });

let directory = '';
let plugin = '';
let host: TestProcess | undefined;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dw-example-'));
  plugin = join(directory, 'hello-plugin');
  await npm(join(ROOT, 'packages/sdk'), 'pack', '--pack-destination', directory);
  await cp(join(ROOT, 'examples/hello-plugin'), plugin, {
    recursive: true,
    filter: (path) => !/[\\/](node_modules|dist)$/.test(path),
  });
  // What publishing does: the workspace's own version specifier gives way to the packed package.
  const file = join(plugin, 'package.json');
  const manifest = JSON.parse(await readFile(file, 'utf8')) as { dependencies: Record<string, string> };
  manifest.dependencies['@datawarehouse/sdk'] = 'file:../datawarehouse-sdk-1.0.0.tgz';
  await writeFile(file, JSON.stringify(manifest, null, 2));
  await npm(plugin, 'install', '--no-audit', '--no-fund');
  await npm(plugin, 'run', 'build');
}, 300_000);

afterAll(async () => {
  await host?.kill();
  await rm(directory, { recursive: true, force: true });
});

async function startHost(config: string, url: string): Promise<void> {
  host = TestProcess.dw('host', ['start', '--config', config]);
  await host.until(`ready ${url}`);
}

function dw(url: string, ...args: string[]) {
  return run(process.execPath, [join(ROOT, 'packages/host/bin/dw.js'), ...args, '--url', url]);
}

it('its own test passes against the packed SDK', async () => {
  const { stdout } = await npm(plugin, 'test');
  expect(stdout).toMatch(/1 passed/);
});

it('a running host loads it by manifest, and it keeps its count and its limit', async () => {
  const [http, peer] = (await freePorts(2)) as [number, number];
  const url = `http://127.0.0.1:${http}`;
  const config = join(directory, 'n1.json');
  await writeFile(
    config,
    JSON.stringify({
      nodeId: 'n1',
      dataDir: join(directory, 'data'),
      http: { host: '127.0.0.1', port: http },
      peer: { host: '127.0.0.1', port: peer },
      peers: { n1: `127.0.0.1:${peer}` },
      plugins: [{ package: plugin, enabled: false, config: { greeting: 'Good day' } }],
    }),
  );
  await startHost(config, url);
  expect((await fetch(`${url}/v1/hello`)).status).toBe(404);

  await dw(url, 'plugin', 'enable', 'com.example.hello');
  expect(await (await fetch(`${url}/v1/hello`)).json()).toEqual({ count: 0 });

  await dw(url, 'bus', 'publish', 'hello.greet', '{"name":"Ada"}');
  await dw(url, 'bus', 'publish', 'hello.greet', '{"name":"Grace Brewster Hopper"}');
  const counted = async (wanted: number): Promise<void> => {
    await eventually(`a count of ${wanted}`, async () => {
      const { count } = (await (await fetch(`${url}/v1/hello`)).json()) as { count: number };
      return count === wanted ? true : undefined;
    });
  };
  await counted(2);

  await dw(url, 'limits', 'hello', 'maxNameLength=5');
  await dw(url, 'bus', 'publish', 'hello.greet', '{"name":"Grace Brewster Hopper"}');
  await dw(url, 'bus', 'publish', 'hello.greet', '{"name":"Alan"}');
  await counted(3);

  // Killed outright: what the plugin was told is written is there afterwards, and so is the operator's limit.
  await host?.kill();
  await startHost(config, url);
  await dw(url, 'plugin', 'enable', 'com.example.hello');
  expect(await (await fetch(`${url}/v1/hello`)).json()).toEqual({ count: 3 });
  const limits = (await (await fetch(`${url}/v1/limits/hello`)).json()) as Record<string, { value: number }>;
  expect(limits['maxNameLength']?.value).toBe(5);

  host?.signal('SIGTERM');
  expect(await host?.exited).toEqual({ code: 0, signal: null });
});
