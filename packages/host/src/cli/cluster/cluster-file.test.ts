import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseNodeConfig } from '../../config/node-config.js';
import { openCluster, prepareNodes } from './cluster-file.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dw-up-'));
});
afterEach(() => rm(directory, { recursive: true }));

describe('a kept local cluster', () => {
  it('is made once, under a random id, and found again', async () => {
    const made = await openCluster(directory, { nodes: 2 });
    expect(made).toMatchObject({ nodes: 2, basePort: 7400 });
    expect(made.clusterId).toMatch(/^local-[0-9a-f-]{36}$/);
    expect(await openCluster(directory, {})).toEqual(made);
    expect(await openCluster(directory, { nodes: 2, basePort: 7400 })).toEqual(made);
  });

  it('is refused when the flags contradict it', async () => {
    await openCluster(directory, { nodes: 3, basePort: 9_000 });
    await expect(openCluster(directory, { nodes: 5 })).rejects.toThrow(
      'holds a cluster of 3 nodes, and one of 5',
    );
    await expect(openCluster(directory, { basePort: 9_001 })).rejects.toMatchObject({
      code: 'cluster-contradicts',
    });
  });

  it.each(['{', '{"nodes":3}', '{"clusterId":"c","nodes":"3","basePort":1}'])(
    'is refused when its file is %s',
    async (text) => {
      await writeFile(join(directory, 'cluster.json'), text);
      await expect(openCluster(directory, {})).rejects.toMatchObject({ code: 'cluster-file-damaged' });
    },
  );

  it('has no port beyond the last one', async () => {
    await expect(openCluster(directory, { basePort: 65_000, nodes: 1 })).resolves.toBeDefined();
    await rm(join(directory, 'cluster.json'));
    await expect(openCluster(directory, { basePort: 65_500, nodes: 1 })).rejects.toThrow('too high');
  });
});

describe('its nodes', () => {
  it('get configurations that a host accepts, with the ports that are promised', async () => {
    const cluster = await openCluster(directory, { nodes: 3, basePort: 8_000 });
    const nodes = await prepareNodes(directory, cluster);
    expect(nodes.map(({ url }) => url)).toEqual([
      'http://127.0.0.1:8000',
      'http://127.0.0.1:8001',
      'http://127.0.0.1:8002',
    ]);
    const config = parseNodeConfig(JSON.parse(await readFile(nodes[1]?.configFile ?? '', 'utf8')), {
      where: 'n2',
      baseDir: directory,
    });
    expect(config).toMatchObject({
      nodeId: 'n2',
      clusterId: cluster.clusterId,
      dataDir: join(directory, 'n2'),
      http: { port: 8_001 },
      peer: { port: 8_101 },
      client: { port: 8_201 },
      peers: { n1: '127.0.0.1:8100', n2: '127.0.0.1:8101', n3: '127.0.0.1:8102' },
    });
  });

  it('keep a configuration that an operator has changed', async () => {
    const cluster = await openCluster(directory, { nodes: 1 });
    await prepareNodes(directory, cluster);
    await writeFile(join(directory, 'n1.json'), '{"changed":true}');
    await prepareNodes(directory, cluster);
    expect(await readFile(join(directory, 'n1.json'), 'utf8')).toBe('{"changed":true}');
  });
});
