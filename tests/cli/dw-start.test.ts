// `dw start` as a process: its ready line, its exit codes, and that it stops when it should.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { selfSigned } from '../support/self-signed.js';

const SCRIPT = fileURLToPath(new URL('../../packages/host/bin/dw.js', import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

class Dw {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  stdout = '';
  stderr = '';

  constructor(...args: string[]) {
    this.child = spawn(process.execPath, [SCRIPT, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.child.stdout?.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.child.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.ended = new Promise((resolve) => {
      this.child.once('close', (code, signal) =>
        resolve({ code, signal, stdout: this.stdout, stderr: this.stderr }),
      );
    });
    running.push(this);
  }

  /** The URL of the ready line. */
  async ready(): Promise<string> {
    const line = /^ready (http:\/\/\S+)$/m;
    await expect
      .poll(() => line.test(this.stdout) || this.child.exitCode !== null, { timeout: 30_000 })
      .toBe(true);
    const url = line.exec(this.stdout)?.[1];
    if (url === undefined) throw new Error(`it is not ready:\n${this.stdout}${this.stderr}`);
    return url;
  }
}

const running: Dw[] = [];
let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dw-start-'));
});
afterEach(async () => {
  for (const { child } of running) child.kill('SIGKILL');
  await Promise.all(running.splice(0).map(({ ended }) => ended));
  await rm(directory, { recursive: true });
});

async function config(fields: Record<string, unknown> = {}): Promise<string> {
  const file = join(directory, 'n1.json');
  await writeFile(
    file,
    JSON.stringify({
      nodeId: 'n1',
      dataDir: join(directory, 'n1'),
      http: { port: 0 },
      peer: { port: 0 },
      plugins: [],
      ...fields,
    }),
  );
  return file;
}

describe('dw start', () => {
  it('says that it is ready, serves, and exits with 0 at SIGTERM', async () => {
    const host = new Dw('start', '--config', await config());
    const url = await host.ready();
    expect(await (await fetch(`${url}/readyz`)).json()).toMatchObject({ ready: true });
    host.child.kill('SIGTERM');
    const { code, stdout, stderr } = await host.ended;
    expect({ code, stdout }).toEqual({ code: 0, stdout: `ready ${url}\n` });
    for (const line of stderr.trim().split('\n')) expect(JSON.parse(line)).toMatchObject({ node: 'n1' });
  });

  it('starts again on the data of a host that was killed, with the limits that were set', async () => {
    const file = await config();
    const first = new Dw('start', '--config', file);
    const change = await fetch(`${await first.ready()}/v1/limits/bus`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ maxQueueDepth: 4_321 }),
    });
    expect(change.status).toBe(200);
    first.child.kill('SIGKILL');
    await first.ended;
    const second = new Dw('start', '--config', file);
    const limits = (await (await fetch(`${await second.ready()}/v1/limits/bus`)).json()) as {
      maxQueueDepth: { value: number };
    };
    expect(limits.maxQueueDepth.value).toBe(4_321);
  });

  it('stops when the pipe of its supervisor closes, also when it is killed', async () => {
    const host = new Dw('start', '--supervised', '--config', await config());
    await host.ready();
    host.child.stdin?.end();
    expect((await host.ended).code).toBe(0);
  });

  it('leaves Ctrl-C to its supervisor', async () => {
    const host = new Dw('start', '--supervised', '--config', await config());
    const url = await host.ready();
    host.child.kill('SIGINT');
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    host.child.kill('SIGTERM');
    expect((await host.ended).code).toBe(0);
  });

  it.each([
    [{ htp: {} }, '"htp" is not a known field', 'did you mean "http"?'],
    [{ http: { host: '0.0.0.0' } }, 'without http.token', 'config-exposed'],
  ])('exits with 1 and one clear line for the configuration %j', async (fields, ...wanted) => {
    const { code, stdout, stderr } = await new Dw('start', '--config', await config(fields)).ended;
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    for (const text of wanted) expect(stderr).toContain(text);
    expect(stderr).not.toContain('    at ');
  });

  it('exits with 1 when the port is in use, and says so', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const { code, stderr } = await new Dw('start', '--config', await config({ http: { port } })).ended;
    other.close();
    expect(code).toBe(1);
    expect(stderr).toContain(`127.0.0.1:${port}: the port is in use`);
    expect(stderr).not.toContain('    at ');
  });

  it('exits with 1 without a file, and with 2 without the option', async () => {
    const missing = await new Dw('start', '--config', join(directory, 'none.json')).ended;
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain('it does not exist');
    expect((await new Dw('start').ended).code).toBe(2);
  });

  it('serves HTTPS with its certificate and asks for its token', async () => {
    const token = 'a-token-of-some-length';
    const { cert, key } = selfSigned();
    const certFile = join(directory, 'cert.pem');
    await writeFile(certFile, cert);
    await writeFile(join(directory, 'key.pem'), key);
    const file = await config({ http: { port: 0, token, tls: { cert: 'cert.pem', key: 'key.pem' } } });
    const host = new Dw('start', '--config', file);
    await expect.poll(() => host.stdout, { timeout: 30_000 }).toMatch(/^ready https:\/\//);
    const url = host.stdout.trim().slice('ready '.length);
    const run = async (...args: string[]): Promise<Ended> => {
      const env = { ...process.env, NODE_EXTRA_CA_CERTS: certFile };
      const child = spawn(process.execPath, [SCRIPT, ...args, '--url', url], { env });
      let [stdout, stderr] = ['', ''];
      child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
      return new Promise((resolve) => {
        child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
      });
    };
    const refused = await run('plugins');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('(unauthorized)');
    expect((await run('plugins', '--json', '--token', token)).stdout.trim()).toBe('[]');
    expect(host.stderr).not.toContain(token);
  });
});
