// `dw bench`: a short load of writes on a running cluster, with percentiles. The load comes from this one process: on
// a small machine it takes its share of the cores from the cluster.

import { DwError } from '@datawarehouse/sdk';
import type { CommonOptions } from '../api-client.js';
import { runLoad } from '../bench/load.js';
import { withClient } from '../common-options.js';
import { printJson, printLine, printTable } from '../output.js';

/** What `dw bench` is asked for. */
export interface BenchOptions extends CommonOptions {
  readonly clients: number;
  readonly seconds: number;
  readonly valueBytes: number;
}

const BAR_WIDTH = 30;

function drawProgress(share: number, answered: number): void {
  if (!process.stderr.isTTY) return;
  const full = Math.round(share * BAR_WIDTH);
  const bar = `${'█'.repeat(full)}${'░'.repeat(BAR_WIDTH - full)}`;
  process.stderr.write(`\r${bar} ${String(Math.round(share * 100)).padStart(3)} %  ${answered} writes`);
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}

/** `dw bench`. @throws DwError `bench-no-answers` when not one write was answered with 200. */
export async function bench(options: BenchOptions): Promise<void> {
  // One call first, so that a wrong address or token is told as what it is and not as a count of failures.
  await withClient(options, (client) => client.call('GET', '/v1/limits'));
  const token = options.token ?? process.env['DW_TOKEN'];
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  process.once('SIGINT', onSignal);
  const { latency, errors, seconds } = await runLoad(
    { ...options, ...(token !== undefined && token !== '' && { token }) },
    drawProgress,
    stop.signal,
  ).finally(() => process.off('SIGINT', onSignal));
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
  const result = {
    clients: options.clients,
    seconds: round(seconds),
    valueBytes: options.valueBytes,
    writes: latency.count,
    writesPerSecond: Math.round(latency.count / seconds),
    latencyMs: {
      p50: round(latency.percentile(0.5)),
      p90: round(latency.percentile(0.9)),
      p99: round(latency.percentile(0.99)),
      p999: round(latency.percentile(0.999)),
      max: round(latency.maxMs),
    },
    errors: Object.fromEntries(errors),
  };
  if (options.json === true) await printJson(result);
  else {
    await printLine(
      `${result.writes} writes of ${result.valueBytes} bytes by ${result.clients} clients in ${result.seconds} s`,
    );
    await printTable(
      ['writes/s', 'p50 ms', 'p90 ms', 'p99 ms', 'p99.9 ms', 'max ms'],
      [[result.writesPerSecond, ...Object.values(result.latencyMs)]],
    );
    if (errors.size > 0) await printTable(['refused or failed', 'times'], [...errors]);
  }
  if (latency.count === 0) {
    throw new DwError({
      code: 'bench-no-answers',
      message: `not one write was accepted (${[...errors.keys()].join(', ')})`,
      hint: 'look at "dw status"',
    });
  }
}
