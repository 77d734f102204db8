// The commands of etcd's quorum suite, over our quorum code. Each result is also computed in other ways that must agree;
// where one does not, it shows up in the output, as upstream's own runner has it.

import { JointConfig } from '#consensus/raft/quorum/joint.js';
import { MajorityConfig } from '#consensus/raft/quorum/majority.js';
import type { VoteResult } from '#consensus/raft/quorum/vote-result.js';
import { valuesOf, type Directive } from './directives.js';
import { UsageError, type Suite } from './suite.js';

const voteNames: Readonly<Record<VoteResult, string>> = {
  pending: 'VotePending',
  won: 'VoteWon',
  lost: 'VoteLost',
};

type Acked = ReadonlyMap<string, number>;

function indexText(index: number): string {
  return index === Number.POSITIVE_INFINITY ? '∞' : String(index);
}

/** A picture of who has what: the bar of a voter is as long as the number of voters strictly behind it. */
function picture(ids: readonly string[], acked: Acked): string {
  if (ids.length === 0) return '<empty majority quorum>';
  const rows = ids.map((id) => {
    const index = acked.get(id);
    const behind = ids.filter((other) => (acked.get(other) ?? 0) < (index ?? 0)).length;
    const mark =
      index === undefined ? '?'.padEnd(ids.length + 1) : `${'x'.repeat(behind)}>`.padEnd(ids.length + 1);
    return `${mark} ${String(index ?? 0).padStart(5)}    (id=${id})\n`;
  });
  return `${' '.repeat(ids.length)}    idx\n${rows.join('')}`;
}

function numerically(ids: Iterable<string>): string[] {
  return [...new Set(ids)].sort((a, b) => Number(a) - Number(b));
}

/** The committed index by its definition: the highest one that more than half of the voters have. */
function committedByDefinition(config: MajorityConfig, acked: Acked): number {
  if (config.size === 0) return Number.POSITIVE_INFINITY;
  const candidates = [0, ...config.ids.map((id) => acked.get(id) ?? 0)];
  const held = candidates.filter(
    (index) => config.ids.filter((id) => (acked.get(id) ?? 0) >= index).length > config.size / 2,
  );
  return Math.max(...held);
}

/** Pairs the listed values with the voters of both halves, each voter once; `_` is no value. */
function assign(directive: Directive, key: string, ids: readonly string[]): ReadonlyMap<string, string> {
  const values = valuesOf(directive, key) ?? [];
  if (values.length !== ids.length) throw new UsageError(`${values.length} values for ${ids.length} voters`);
  return new Map(ids.map((id, i) => [id, values[i] as string] as const).filter(([, value]) => value !== '_'));
}

function runCommitted(config: MajorityConfig, joint: MajorityConfig | undefined, acked: Acked): string {
  const lookup = (id: string): number | undefined => acked.get(id);
  if (joint !== undefined) {
    const both = new JointConfig(config.ids, joint.ids);
    const index = both.committedIndex(lookup);
    const swapped = new JointConfig(joint.ids, config.ids).committedIndex(lookup);
    const note = swapped === index ? '' : `${indexText(swapped)} <-- via symmetry\n`;
    return `${picture(numerically(both.ids), acked)}${note}${indexText(index)}`;
  }
  const index = config.committedIndex(lookup);
  let notes = '';
  const alternative = (other: number, how: string): void => {
    if (other !== index) notes += `${indexText(other)} <-- ${how}\n`;
  };
  alternative(committedByDefinition(config, acked), 'via alternative computation');
  alternative(new JointConfig(config.ids).committedIndex(lookup), 'via zero-joint quorum');
  alternative(new JointConfig(config.ids, config.ids).committedIndex(lookup), 'via self-joint quorum');
  for (const id of config.ids) {
    const own = acked.get(id) ?? 0;
    if (own === 0 || own >= index) continue;
    // Whoever is behind the committed index does not matter, so less of it must not matter either.
    for (const lower of [own - 1, 0]) {
      const lowered = new Map(acked).set(id, lower);
      alternative(
        config.committedIndex((voter) => lowered.get(voter)),
        `overlaying ${id}->${lower}`,
      );
    }
  }
  return `${picture(numerically(config.ids), acked)}${notes}${indexText(index)}`;
}

function runVote(
  config: MajorityConfig,
  joint: MajorityConfig | undefined,
  votes: ReadonlyMap<string, boolean>,
): string {
  if (joint === undefined) return voteNames[config.voteResult(votes)];
  const result = new JointConfig(config.ids, joint.ids).voteResult(votes);
  const swapped = new JointConfig(joint.ids, config.ids).voteResult(votes);
  return `${swapped === result ? '' : `${voteNames[swapped]} <-- via symmetry\n`}${voteNames[result]}`;
}

const options: readonly string[] = ['cfg', 'cfgj', 'idx', 'votes'];

function run(directive: Directive): string {
  const unknown = directive.args.find((arg) => !options.includes(arg.key));
  if (unknown !== undefined) throw new UsageError(`unknown option: ${unknown.key}`);
  const cfg = valuesOf(directive, 'cfg') ?? [];
  const cfgj = valuesOf(directive, 'cfgj');
  const outgoing = cfgj?.[0] === 'zero' ? [] : cfgj;
  // In order of appearance: that is how values are paired with voters.
  const ids = [...new Set([...cfg, ...(outgoing ?? [])])];
  const config = new MajorityConfig(cfg);
  const joint = outgoing === undefined ? undefined : new MajorityConfig(outgoing);
  if (directive.command === 'committed') {
    const values = assign(directive, 'idx', ids);
    return runCommitted(config, joint, new Map([...values].map(([id, value]) => [id, Number(value)])));
  }
  if (directive.command === 'vote') {
    const values = assign(directive, 'votes', ids);
    return runVote(config, joint, new Map([...values].map(([id, value]) => [id, value === 'y'])));
  }
  throw new UsageError(`unknown command: ${directive.command}`);
}

/** `committed` and `vote`. Nothing is kept from one directive to the next. */
export const quorumSuite: Suite = {
  name: 'quorum',
  commands: new Set(['committed', 'vote']),
  start: () => ({
    run,
  }),
};
