// The options that every command has, and the frame in which commands that talk to a host run.

import type { Command } from 'commander';
import type { ApiClient, CommonOptions } from './api-client.js';

/** Where a host is looked for when nobody says. */
export const DEFAULT_URL = 'http://127.0.0.1:7400';

/** Adds `--url`, `--token` and `--json`. */
export function withCommonOptions(command: Command): Command {
  return command
    .option('--url <url>', 'the host to talk to (or DW_URL)', process.env['DW_URL'] ?? DEFAULT_URL)
    .option(
      '--token <token>',
      'token of the host; better given as DW_TOKEN, which others on this machine cannot see',
    )
    .option('--json', 'print JSON for machines');
}

/** Runs a command with a client, which is let go of afterwards. */
export async function withClient<T>(
  options: CommonOptions,
  run: (client: ApiClient) => Promise<T>,
): Promise<T> {
  const { ApiClient } = await import('./api-client.js');
  const { url } = options;
  const token = options.token ?? process.env['DW_TOKEN'];
  const client = new ApiClient(token === undefined || token === '' ? { url } : { url, token });
  try {
    return await run(client);
  } finally {
    client.close();
  }
}
