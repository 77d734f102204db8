// A cluster of real host processes on loopback, with every link between two nodes through a proxy that can be cut.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LinkProxy } from './link-proxy.js';
import { TestProcess, eventually, freePorts } from './processes.js';

/** How a cluster is made. */
export interface ClusterOptions {
  readonly nodes?: number;
  readonly groups?: number;
  /** Configuration of the consensus plugin beside `groups`. */
  readonly consensus?: Readonly<Record<string, unknown>>;
  /** Plugins besides those of the cluster and of consensus: packages or folders. */
  readonly plugins?: readonly string[];
  /** Links go through proxies, so that they can be cut. Default true. */
  readonly proxied?: boolean;
  /** Makes further fields of `http`, such as a token and TLS; it is given the directory of the configurations. */
  readonly http?: (directory: string) => Promise<Readonly<Record<string, unknown>>>;
}

interface Node {
  readonly id: string;
  readonly url: string;
  readonly httpPort: number;
  readonly peerPort: number;
  readonly clientPort: number;
  readonly configFile: string;
  process: TestProcess | undefined;
}

/** One group as `GET /v1/groups` shows it. */
export interface GroupView {
  readonly id: string;
  readonly leader: string | null;
  readonly term: number;
  readonly commitIndex: number;
  readonly lastApplied: number;
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly stateHash: string;
}

/** Real nodes, real files, real sockets. */
export class TestCluster {
  private readonly links = new Map<string, LinkProxy>();

  private constructor(
    readonly directory: string,
    readonly nodes: readonly Node[],
  ) {}

  static async create(options: ClusterOptions = {}): Promise<TestCluster> {
    const count = options.nodes ?? 3;
    const proxied = options.proxied ?? true;
    const directory = await mkdtemp(join(tmpdir(), 'dw-cluster-'));
    const ports = await freePorts(count * (proxied ? 3 + count : 3));
    const take = (): number => ports.pop() as number;
    const nodes: Node[] = Array.from({ length: count }, (_, i) => {
      const httpPort = take();
      return {
        id: `n${i + 1}`,
        url: `http://127.0.0.1:${httpPort}`,
        httpPort,
        peerPort: take(),
        clientPort: take(),
        configFile: join(directory, `n${i + 1}.json`),
        process: undefined,
      };
    });
    const http = await options.http?.(directory);
    const cluster = new TestCluster(directory, nodes);
    for (const from of nodes) {
      const peers: Record<string, string> = {};
      for (const to of nodes) {
        let port = to.peerPort;
        if (proxied && to !== from) {
          port = take();
          cluster.links.set(`${from.id}>${to.id}`, await LinkProxy.start(port, to.peerPort));
        }
        peers[to.id] = `127.0.0.1:${port}`;
      }
      await writeFile(
        from.configFile,
        JSON.stringify({
          nodeId: from.id,
          clusterId: `test-${directory.slice(-6)}`,
          dataDir: join(directory, from.id),
          http: { host: '127.0.0.1', port: from.httpPort, ...http },
          peer: { host: '127.0.0.1', port: from.peerPort },
          client: { host: '127.0.0.1', port: from.clientPort },
          peers,
          plugins: [
            { package: '@datawarehouse/plugin-cluster' },
            {
              package: '@datawarehouse/plugin-consensus',
              config: { groups: options.groups ?? 3, votersPerGroup: 3, ...options.consensus },
            },
            ...(options.plugins ?? []).map((name) => ({ package: name })),
          ],
        }),
      );
    }
    return cluster;
  }

  node(id: string): Node {
    const found = this.nodes.find((node) => node.id === id);
    if (found === undefined) throw new Error(`no node ${id}`);
    return found;
  }

  /** Starts a node that is not running, and does not wait for it. */
  launch(id: string): void {
    const node = this.node(id);
    if (node.process?.running === true) throw new Error(`${id} is running`);
    node.process = TestProcess.dw(id, ['start', '--config', node.configFile]);
  }

  /** Starts all nodes and waits until each is ready. */
  async start(): Promise<void> {
    for (const node of this.nodes) if (node.process?.running !== true) this.launch(node.id);
    await this.ready();
  }

  /** Waits until these nodes (default all) answer `/readyz` with 200. */
  async ready(ids: readonly string[] = this.nodes.map(({ id }) => id)): Promise<void> {
    await Promise.all(
      ids.map(async (id) => {
        const node = this.node(id);
        await eventually(`${id} ready`, async () => {
          if (node.process?.running !== true) {
            throw new Error(`${id} is not running:\n${node.process?.output ?? ''}`);
          }
          const response = await fetch(`${node.url}/readyz`);
          await response.arrayBuffer();
          return response.ok ? true : undefined;
        }).catch((error: unknown) => {
          throw new Error(
            `${id} did not become ready; it said:\n${node.process?.output.slice(-4_000) ?? ''}`,
            {
              cause: error,
            },
          );
        });
      }),
    );
  }

  async groups(id: string): Promise<readonly GroupView[]> {
    const response = await fetch(`${this.node(id).url}/v1/groups`);
    return (await response.json()) as readonly GroupView[];
  }

  /** The leader of a group (default the first) as some node that is not excluded sees it. */
  async leader(group = 0, excluded: readonly string[] = []): Promise<string> {
    return eventually(`a leader of group ${group}`, async () => {
      for (const node of this.nodes) {
        if (node.process?.running !== true || excluded.includes(node.id)) continue;
        const view = (await this.groups(node.id))[group];
        if (view?.leader && !excluded.includes(view.leader)) return view.leader;
      }
      return undefined;
    });
  }

  signal(id: string, signal: NodeJS.Signals): void {
    this.node(id).process?.signal(signal);
  }

  async kill(id: string): Promise<void> {
    await this.node(id).process?.kill();
  }

  /** Cuts every link between `id` and each of the others named (default all others), both ways. */
  cut(id: string, others: readonly string[] = this.nodes.map((node) => node.id)): void {
    for (const other of others) {
      this.links.get(`${id}>${other}`)?.cut();
      this.links.get(`${other}>${id}`)?.cut();
    }
  }

  heal(): void {
    for (const link of this.links.values()) link.heal();
  }

  async stop(): Promise<void> {
    for (const node of this.nodes) {
      node.process?.signal('SIGCONT');
      node.process?.signal('SIGKILL');
    }
    await Promise.all(this.nodes.map(async (node) => node.process?.exited));
    await Promise.all([...this.links.values()].map((link) => link.close()));
    await rm(this.directory, { recursive: true, force: true });
  }
}
