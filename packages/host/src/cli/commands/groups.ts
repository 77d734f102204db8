// `dw groups`: the Raft groups, moving their leadership, taking snapshots.

import type { CommonOptions } from '../api-client.js';
import { withClient } from '../common-options.js';
import { printJson, printLine, printTable } from '../output.js';

/** A group as `GET /v1/groups` shows it. */
export interface GroupView {
  readonly id: string;
  readonly leader?: string | null;
  readonly term: number;
  readonly commitIndex: number;
  readonly lastApplied: number;
  readonly voters: readonly string[];
  readonly learners?: readonly string[];
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly stateHash: string;
}

/** Prints groups as a table. */
export function printGroups(groups: readonly GroupView[]): Promise<void> {
  return printTable(
    ['group', 'leader', 'term', 'commit', 'applied', 'log', 'voters', 'state'],
    groups.map((group) => [
      group.id,
      group.leader,
      group.term,
      group.commitIndex,
      group.lastApplied,
      `${group.firstIndex}-${group.lastIndex}`,
      [...group.voters, ...(group.learners ?? []).map((learner) => `${learner} (learner)`)].join(' '),
      group.stateHash.slice(0, 12),
    ]),
  );
}

/** `dw groups`. */
export async function listGroups(options: CommonOptions): Promise<void> {
  await withClient(options, async (client) => {
    const groups = await client.json<readonly GroupView[]>('GET', '/v1/groups');
    return options.json === true ? printJson(groups) : printGroups(groups);
  });
}

async function act(group: string, action: string, json: unknown, options: CommonOptions): Promise<void> {
  await withClient(options, async (client) => {
    const path = `/v1/groups/${encodeURIComponent(group)}/${action}`;
    const { body } = await client.call('POST', path, json === undefined ? {} : { json });
    const answer: unknown = body.length === 0 ? {} : JSON.parse(body.toString('utf8'));
    return options.json === true ? printJson(answer) : printLine(`${action} of ${group}: done`);
  });
}

/** `dw groups transfer GROUP NODE`. */
export function transferGroup(group: string, node: string, options: CommonOptions): Promise<void> {
  return act(group, 'transfer', { to: node }, options);
}

/** `dw groups snapshot GROUP`. */
export function snapshotGroup(group: string, options: CommonOptions): Promise<void> {
  return act(group, 'snapshot', undefined, options);
}
