// What replication costs, in one table: the journal beside a bare group commit, the core alone, and three durable nodes
// through the client and through HTTP beside a three-member etcd under the same load. Minutes, on a machine that does
// nothing else.
import { run as appends } from './append-log.mjs';
import { run as client } from './client.mjs';
import { run as core } from './raft-core.mjs';

/** Rows of one measurement, under its name. */
function under(what, rows, keep = () => true) {
  return rows.filter(({ name }) => keep(name)).map((row) => ({ ...row, name: `${what}: ${row.name}` }));
}

/** Runs the measurements one after another. */
export async function run() {
  const journal = await appends();
  const alone = await core();
  const nodes = await client({
    seconds: 4,
    warmupSeconds: 1.5,
    rounds: 2,
    systems: ['etcd', 'shared', 'own', 'http'],
  });
  return {
    title: `Consensus: ${nodes.title}`,
    rows: [
      ...under('journal', journal.rows),
      ...under('core', alone.rows, (name) => name.startsWith('4096')),
      ...nodes.rows,
    ],
  };
}
