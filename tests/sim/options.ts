// The command line of the simulator.

import { openSync, writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { SimulationOptions } from './simulation.js';
import { FAULTS } from './world/nemesis.js';

/** What the command was asked to do. */
export interface Command {
  /** First and last seed. */
  readonly seeds: readonly [number, number];
  readonly simulation: Omit<SimulationOptions, 'seed'>;
  /** The arguments that make the same simulation of another seed. */
  readonly rest: readonly string[];
  readonly jobs: number | undefined;
  readonly keepGoing: boolean;
  /** Takes seeds from its parent instead. */
  readonly worker: boolean;
  /** Goes on with new seeds until told to stop. */
  readonly soak: boolean;
}

/** Reads the arguments. @throws Error that says what is wrong with them. */
export function commandOf(args: readonly string[]): Command {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string' },
      faults: { type: 'string' },
      nodes: { type: 'string' },
      trouble: { type: 'string' },
      directory: { type: 'string' },
      policies: { type: 'string' },
      trace: { type: 'string' },
      jobs: { type: 'string' },
      'keep-going': { type: 'boolean', default: false },
      worker: { type: 'boolean', default: false },
      soak: { type: 'boolean', default: false },
    },
  });
  const { faults, nodes, trouble, directory, policies, trace, jobs } = values;
  const rest = [
    ...(faults === undefined ? [] : ['--faults', faults]),
    ...(nodes === undefined ? [] : ['--nodes', nodes]),
    ...(trouble === undefined ? [] : ['--trouble', trouble]),
    ...(directory === undefined ? [] : ['--directory', directory]),
    ...(policies === undefined ? [] : ['--policies', policies]),
  ];
  return {
    seeds: rangeOf(values.seeds ?? values.seed ?? '1'),
    simulation: {
      ...(faults === undefined ? {} : { faults: faultsOf(faults) }),
      ...(nodes === undefined ? {} : { nodes: numberOf('nodes', nodes, 1) }),
      ...(trouble === undefined ? {} : { troubleMs: numberOf('trouble', trouble, 0) }),
      ...(directory === undefined ? {} : { directory: yesOrNo('directory', directory) }),
      ...(policies === undefined ? {} : { policies: yesOrNo('policies', policies) }),
      ...(trace === undefined ? {} : { write: lineWriter(trace) }),
    },
    rest,
    jobs: jobs === undefined ? undefined : numberOf('jobs', jobs, 1),
    keepGoing: values['keep-going'],
    worker: values.worker,
    soak: values.soak,
  };
}

function rangeOf(text: string): [number, number] {
  const [low, high = low] = text.split('-').map((part) => numberOf('seed', part, 0));
  return [low as number, high as number];
}

function numberOf(name: string, text: string, least: number): number {
  const value = Number(text);
  if (text !== '' && Number.isSafeInteger(value) && value >= least) return value;
  throw new Error(`--${name} cannot be "${text}": give a whole number from ${least}`);
}

function yesOrNo(name: string, text: string): boolean {
  if (text === 'yes' || text === 'no') return text === 'yes';
  throw new Error(`--${name} is yes or no, not "${text}"`);
}

function faultsOf(text: string): string[] {
  if (text === 'none') return [];
  const known = Object.keys(FAULTS);
  const names = text === 'all' ? known : text.split(',');
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return names;
  throw new Error(`there is no fault "${unknown}"; there are ${known.join(', ')}, or all, or none`);
}

function lineWriter(path: string): (line: string) => void {
  const file = openSync(path, 'w');
  let buffered = '';
  const flush = (): void => {
    writeSync(file, buffered);
    buffered = '';
  };
  process.once('exit', flush);
  return (line) => {
    buffered += `${line}\n`;
    if (buffered.length > 65_536) flush();
  };
}
