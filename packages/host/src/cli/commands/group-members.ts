// `dw groups add`, `promote`, `replace`, `remove`, `members` and `recover`: who votes and learns in a Raft group, and the
// last resort for one that lost its majority.

import { createInterface } from 'node:readline/promises';
import { DwError } from '@datawarehouse/sdk';
import type { ApiClient, CommonOptions } from '../api-client.js';
import { withClient } from '../common-options.js';
import { printJson, printLine, printTable } from '../output.js';

/** A change may have to move a snapshot first. */
const CHANGE_TIMEOUT_MS = 15 * 60_000;

interface Members {
  readonly id: string;
  readonly voters: readonly string[];
  readonly learners?: readonly string[];
  readonly witnesses?: readonly string[];
  readonly leader?: string | null;
}

/** Options of `dw groups add`. */
export interface AddOptions extends CommonOptions {
  readonly learner?: boolean;
  readonly witness?: boolean;
}

/** Options of `dw groups recover`. */
export interface RecoverOptions extends CommonOptions {
  readonly yes?: boolean;
}

interface Plan {
  readonly group: string;
  readonly chosen: string;
  readonly lost: readonly string[];
  readonly warnings: readonly string[];
  readonly token: string;
  readonly survivors: readonly {
    readonly node: string;
    readonly term: number;
    readonly lastIndex: number;
    readonly lastTerm: number;
    readonly commit: number;
  }[];
}

/** `dw groups members GROUP`. */
export async function showMembers(group: string, options: CommonOptions): Promise<void> {
  await withClient(options, async (client) => {
    const groups = await client.json<readonly Members[]>('GET', '/v1/groups');
    const found = groups.find(({ id }) => id === group);
    if (found === undefined) {
      throw new DwError({
        code: 'group-unknown',
        message: `there is no group ${group}`,
        hint: 'dw groups shows them',
      });
    }
    await show(found, options);
  });
}

/** `dw groups add GROUP NODE…`. */
export function addMembers(group: string, nodes: readonly string[], options: AddOptions): Promise<void> {
  if (options.learner === true) return change(group, { addLearners: nodes }, options);
  if (options.witness === true) return change(group, { addWitnesses: nodes }, options);
  return change(group, { add: nodes }, options);
}

/** `dw groups promote GROUP NODE…`. */
export function promoteMembers(
  group: string,
  nodes: readonly string[],
  options: CommonOptions,
): Promise<void> {
  return change(group, { add: nodes }, options);
}

/** `dw groups replace GROUP OLD NEW`. */
export function replaceMember(
  group: string,
  old: string,
  replacement: string,
  options: CommonOptions,
): Promise<void> {
  return change(group, { add: [replacement], remove: [old] }, options);
}

/** `dw groups remove GROUP NODE…`. */
export function removeMembers(
  group: string,
  nodes: readonly string[],
  options: CommonOptions,
): Promise<void> {
  return change(group, { remove: nodes }, options);
}

/** `dw groups recover GROUP`. */
export async function recoverGroup(group: string, options: RecoverOptions): Promise<void> {
  await withClient(options, async (client) => {
    const path = `/v1/groups/${encodeURIComponent(group)}/recover`;
    const { plan } = await client.json<{ readonly plan: Plan }>('POST', path, { json: {} });
    if (options.json !== true) await showPlan(plan);
    else if (options.yes !== true) {
      await printJson({ plan });
      return;
    }
    if (options.yes !== true && !(await confirmed(group))) throw notConfirmed(group);
    const done = await client.json<unknown>('POST', path, { json: { confirm: plan.token } });
    if (options.json === true) await printJson(done);
    else await printLine(`${group} goes on with ${plan.chosen}; the other survivors are being added again`);
  });
}

async function change(
  group: string,
  request: Readonly<Record<string, readonly string[]>>,
  options: CommonOptions,
): Promise<void> {
  await withClient(options, async (client: ApiClient) => {
    const path = `/v1/groups/${encodeURIComponent(group)}/members`;
    const answer = await client.json<Members>('POST', path, { json: request, timeoutMs: CHANGE_TIMEOUT_MS });
    await show(answer, options);
  });
}

function show(members: Members, options: CommonOptions): Promise<void> {
  const { id, voters, learners = [], witnesses = [] } = members;
  if (options.json === true) return printJson({ id, voters, learners, witnesses });
  const role = (node: string): string => (witnesses.includes(node) ? 'witness' : 'voter');
  return printTable(
    ['group', 'node', 'role'],
    [...voters.map((node) => [id, node, role(node)]), ...learners.map((node) => [id, node, 'learner'])],
  );
}

async function showPlan(plan: Plan): Promise<void> {
  await printTable(
    ['survivor', 'term', 'last entry', 'of term', 'committed', ''],
    plan.survivors.map(({ node, term, lastIndex, lastTerm, commit }) => [
      node,
      term,
      lastIndex,
      lastTerm,
      commit,
      node === plan.chosen ? 'goes on' : 'gets a copy',
    ]),
  );
  await printLine(`lost: ${plan.lost.join(', ')}`);
  for (const warning of plan.warnings) await printLine(`! ${warning}`);
}

async function confirmed(group: string): Promise<boolean> {
  if (!process.stdin.isTTY) return false;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return (await terminal.question(`Type the name of the group (${group}) to go on: `)).trim() === group;
  } finally {
    terminal.close();
  }
}

function notConfirmed(group: string): DwError {
  return new DwError({
    code: 'not-confirmed',
    message: `the recovery of ${group} was not confirmed; nothing was done`,
    hint: 'read the plan above, then confirm it on a terminal or with --yes',
  });
}
