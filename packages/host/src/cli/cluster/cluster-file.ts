// What a local cluster is, kept in its data directory: how many nodes, on which ports, under which cluster id. It is
// written once; a later `dw up` finds the same cluster again or is refused.

import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Type } from '@datawarehouse/sdk';
import { SchemaChecker } from '../../schema/schema-checker.js';
import { clusterContradicts, clusterFileDamaged, UsageError } from '../errors.js';
import { readText, writeDurably } from './files.js';

/** A kept local cluster. */
export interface ClusterDescription {
  readonly clusterId: string;
  readonly nodes: number;
  readonly basePort: number;
}

/** What the command line says of the cluster; what it leaves out is taken as it is kept. */
export interface ClusterWish {
  readonly nodes?: number;
  readonly basePort?: number;
}

/** One node of a local cluster. */
export interface LocalNode {
  readonly id: string;
  readonly url: string;
  readonly configFile: string;
  readonly logFile: string;
}

const DEFAULTS = { nodes: 3, basePort: 7_400 } as const;
/** Peers listen this much above HTTP, clients of the framed protocol this much again. */
export const PORT_STEP = 100;
const HOST = '127.0.0.1';

const Schema = Type.Object(
  {
    clusterId: Type.String({ minLength: 1, maxLength: 64 }),
    nodes: Type.Integer({ minimum: 1, maximum: PORT_STEP - 1 }),
    basePort: Type.Integer({ minimum: 1, maximum: 65_535 - 3 * PORT_STEP }),
  },
  { additionalProperties: false },
);

function parse(file: string, text: string): ClusterDescription {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (thrown) {
    throw clusterFileDamaged(file, thrown);
  }
  const checked = new SchemaChecker({ root: 'the description' }).check<ClusterDescription>(Schema, value);
  if (!checked.ok) throw clusterFileDamaged(file, new Error(checked.issues.join('; ')));
  return checked.value;
}

/**
 * The cluster of a data directory; makes it if there is none.
 * @throws DwError `cluster-contradicts`, `cluster-file-damaged`; UsageError when the ports do not fit.
 */
export async function openCluster(directory: string, wish: ClusterWish): Promise<ClusterDescription> {
  await mkdir(directory, { recursive: true });
  const file = join(directory, 'cluster.json');
  const text = await readText(file);
  if (text !== undefined) {
    const kept = parse(file, text);
    if (wish.nodes !== undefined && wish.nodes !== kept.nodes) {
      throw clusterContradicts(directory, `${kept.nodes} nodes`, `one of ${wish.nodes}`);
    }
    if (wish.basePort !== undefined && wish.basePort !== kept.basePort) {
      throw clusterContradicts(directory, `nodes from port ${kept.basePort}`, `port ${wish.basePort}`);
    }
    return kept;
  }
  const { nodes = DEFAULTS.nodes, basePort = DEFAULTS.basePort } = wish;
  if (basePort + 2 * PORT_STEP + nodes - 1 > 65_535) {
    throw new UsageError(
      `--base-port ${basePort} is too high: the last port would be ${basePort + 2 * PORT_STEP + nodes - 1}`,
    );
  }
  const made: ClusterDescription = { clusterId: `local-${randomUUID()}`, nodes, basePort };
  await writeDurably(file, `${JSON.stringify(made, undefined, 2)}\n`);
  return made;
}

/**
 * The nodes of a cluster, their configurations written where they are missing. One that is there stays as it is: an
 * operator may have changed it.
 */
export async function prepareNodes(directory: string, cluster: ClusterDescription): Promise<LocalNode[]> {
  const ids = Array.from({ length: cluster.nodes }, (_, index) => `n${index + 1}`);
  const port = (index: number, step: number): number => cluster.basePort + step * PORT_STEP + index;
  const peers = Object.fromEntries(ids.map((id, index) => [id, `${HOST}:${port(index, 1)}`]));
  return Promise.all(
    ids.map(async (id, index) => {
      const configFile = join(directory, `${id}.json`);
      const config = {
        nodeId: id,
        clusterId: cluster.clusterId,
        dataDir: join(directory, id),
        http: { host: HOST, port: port(index, 0) },
        peer: { host: HOST, port: port(index, 1) },
        client: { host: HOST, port: port(index, 2) },
        peers,
      };
      if ((await readText(configFile)) === undefined) {
        await writeDurably(configFile, `${JSON.stringify(config, undefined, 2)}\n`);
      }
      return {
        id,
        url: `http://${HOST}:${port(index, 0)}`,
        configFile,
        logFile: join(directory, `${id}.log`),
      };
    }),
  );
}
