// Writes small plugins to disk and runs hosts with them, for the tests of the kernel.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Host, parseNodeConfig } from '@datawarehouse/host';
import type { HostOverrides, PluginEntry } from '@datawarehouse/host';
import { MemoryBackingStore } from '@datawarehouse/sdk';
import type { Logger } from '@datawarehouse/sdk';

/** One line that the host logged. */
export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** A logger that keeps its lines. */
export function memoryLog(
  lines: LogLine[] = [],
  base: Record<string, unknown> = {},
): Logger & { readonly lines: LogLine[] } {
  const at =
    (level: string) =>
    (fields: Readonly<Record<string, unknown>> | string, message?: string): void => {
      const given = typeof fields === 'string' ? {} : fields;
      lines.push({
        ...base,
        ...given,
        level,
        message: typeof fields === 'string' ? fields : (message ?? ''),
      });
    };
  return {
    lines,
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => memoryLog(lines, { ...base, ...fields }),
  };
}

/** What a written plugin is like. */
export interface PluginSource {
  /** Fields of the manifest besides `id`, `sdk` and `entry`. */
  readonly manifest?: Readonly<Record<string, unknown>>;
  /** Body of the class: members as JavaScript. */
  readonly body?: string;
  /** Code before the class. */
  readonly head?: string;
  /** The whole module, used instead of a class with `body`. */
  readonly module?: string;
}

/** A directory of plugins and of a node's data, removed at the end. */
export class Workbench {
  private constructor(readonly directory: string) {}

  static async create(): Promise<Workbench> {
    return new Workbench(await mkdtemp(join(tmpdir(), 'dw-kernel-')));
  }

  /** Writes a plugin and gives its entry of a node configuration. */
  async plugin(
    id: string,
    source: PluginSource = {},
    entry: Partial<PluginEntry> = {},
  ): Promise<PluginEntry> {
    const directory = join(this.directory, 'plugins', id);
    await mkdir(directory, { recursive: true });
    const manifest = { id, sdk: '^1.0.0', entry: 'index.mjs', ...source.manifest };
    await writeFile(
      join(directory, 'package.json'),
      JSON.stringify({ name: id, version: '1.2.3', datawarehouse: manifest }),
    );
    await writeFile(join(directory, 'index.mjs'), source.module ?? classModule(id, source));
    return { package: directory, ...entry };
  }

  /** Makes a host on a free port with a store in memory. */
  async host(
    plugins: readonly PluginEntry[] | undefined,
    overrides: HostOverrides & { readonly kernel?: Readonly<Record<string, number>> } = {},
  ): Promise<Host> {
    const { kernel, ...rest } = overrides;
    const config = parseNodeConfig(
      {
        nodeId: 'n1',
        dataDir: join(this.directory, 'data'),
        http: { host: '127.0.0.1', port: 0 },
        peer: { host: '127.0.0.1', port: 0 },
        ...(plugins && { plugins }),
        ...(kernel && { kernel }),
      },
      { where: 'test', baseDir: this.directory },
    );
    return Host.create(config, { log: memoryLog(), store: new MemoryBackingStore(), ...rest });
  }

  async remove(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** A module with a plugin class. It needs no SDK: the host knows a plugin by its members. */
function classModule(id: string, { body = '', head = '' }: PluginSource): string {
  return `${head}
export class Plugin {
  id = ${JSON.stringify(id)};
  name = ${JSON.stringify(`Plugin ${id}`)};
  version = '1.2.3';
  initializeAsync(context) { this.context = context; }
  activateAsync() {}
  drainAsync() {}
  shutdownAsync() {}
  checkHealthAsync() { return { status: 'healthy' }; }
  ${body}
}
export { Plugin as plugin };
`;
}
