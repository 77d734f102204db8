// Starts dw nodes one process each, from configurations of their own, with one Raft group that all of them vote in.
import { spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freeBase, root, stopper, until } from './clusters.mjs';

/** So many durable nodes on loopback. `call` asks one of them over HTTP and throws what it refuses. */
export async function startNodes(count) {
  const directory = mkdtempSync(join(tmpdir(), 'dw-bench-'));
  const base = await freeBase(3 * count, 26_000);
  const nodes = Array.from({ length: count }, (_, i) => ({
    id: `n${i + 1}`,
    url: `http://127.0.0.1:${base + i}`,
    clientAddress: `127.0.0.1:${base + 2 * count + i}`,
    dataDir: join(directory, `n${i + 1}`),
  }));
  const peers = Object.fromEntries(nodes.map(({ id }, i) => [id, `127.0.0.1:${base + count + i}`]));
  const children = nodes.map(({ id, dataDir }, i) => {
    const file = join(directory, `${id}.json`);
    const listen = (port) => ({ host: '127.0.0.1', port });
    writeFileSync(
      file,
      JSON.stringify({
        nodeId: id,

        dataDir,
        http: listen(base + i),
        peer: listen(base + count + i),
        client: listen(base + 2 * count + i),
        peers,
        log: { level: 'error' },
        plugins: [
          { package: '@datawarehouse/plugin-cluster' },
          {
            package: '@datawarehouse/plugin-consensus',
            config: { groups: 1, votersPerGroup: count },
          },
        ],
      }),
    );
    const dw = join(root, 'packages/host/bin/dw.js');
    return spawn(process.execPath, [...nodeOptions(i), dw, 'start', '--config', file], {
      cwd: root,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  });
  const stop = stopper(children, directory);
  const call = async (id, method, path, body) => {
    const { url } = nodes.find((node) => node.id === id);
    const response = await fetch(`${url}${path}`, {
      method,
      ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} at ${id}: ${response.status} ${text}`);
    return JSON.parse(text);
  };
  try {
    for (const { url } of nodes) await until('dw', async () => (await fetch(`${url}/readyz`)).ok);
  } catch (error) {
    await stop();
    throw error;
  }
  return { nodes, directory, children, call, stop };
}

/** Options of Node.js for one of the processes, such as `--cpu-prof`, from `DW_BENCH_NODE_OPTIONS_N`. */
function nodeOptions(i) {
  return (process.env[`DW_BENCH_NODE_OPTIONS_${i + 1}`] ?? '').split(' ').filter(Boolean);
}
