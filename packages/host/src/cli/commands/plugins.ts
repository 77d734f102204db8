// `dw plugins` and `dw plugin`: what plugins there are, making one, switching them.

import type { CommonOptions } from '../api-client.js';
import { withClient } from '../common-options.js';
import { printJson, printLine, printTable } from '../output.js';
import type { PluginSummary } from '../../kernel/plugin-admin.js';

/** `dw plugins`. */
export async function listPlugins(options: CommonOptions): Promise<void> {
  await withClient(options, async (client) => {
    const plugins = await client.json<readonly PluginSummary[]>('GET', '/v1/plugins');
    if (options.json === true) return printJson(plugins);
    return printTable(
      ['id', 'version', 'state', 'health', 'crashes', 'why'],
      plugins.map(({ id, version, state, health, crashes, reason }) => [
        id,
        version,
        state,
        health?.status,
        crashes,
        reason ?? health?.message,
      ]),
    );
  });
}

/** `dw plugin enable|disable|reload ID`. */
export async function switchPlugin(
  action: 'enable' | 'disable' | 'reload',
  id: string,
  options: CommonOptions,
): Promise<void> {
  await withClient(options, async (client) => {
    const path = `/v1/plugins/${encodeURIComponent(id)}/${action}`;
    const plugin = await client.json<PluginSummary>('POST', path);
    if (options.json === true) return printJson(plugin);
    return printLine(
      `${plugin.id} is ${plugin.state}${plugin.reason === undefined ? '' : `: ${plugin.reason}`}`,
    );
  });
}

/** `dw plugin create NAME`. */
export async function create(
  name: string,
  options: { readonly dir: string; readonly id?: string; readonly json?: boolean },
): Promise<void> {
  const { createPlugin } = await import('../plugin-create.js');
  const directory = await createPlugin({
    name,
    parent: options.dir,
    ...(options.id !== undefined && { id: options.id }),
  });
  if (options.json === true) return printJson({ directory });
  return printLine(`made ${directory}; go there, then: npm install && npm test`);
}
