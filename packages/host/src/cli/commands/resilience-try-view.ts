// What is seen of a run that tries a policy: a line for each event, or a table of how it stands.

import { printable, tableText } from '../output.js';

/** What the host tells of a run. */
export type TryEvent =
  | {
      readonly kind: 'start';
      readonly policy: string;
      readonly url: string;
      readonly key: string;
      readonly calls: number;
      readonly concurrency: number;
      readonly circuit: string | null;
    }
  | {
      readonly kind: 'call';
      readonly n: number;
      readonly atMs: number;
      readonly outcome: 'succeeded' | 'failed' | 'rejected';
      readonly status?: number;
      readonly code?: string;
      readonly message?: string;
      readonly ms: number;
      readonly attempts: number;
      readonly circuit: string | null;
    }
  | {
      readonly kind: 'circuit';
      readonly atMs: number;
      readonly strategy: string;
      readonly previous: string;
      readonly current: string;
      readonly reason: string;
      readonly breakMs?: number;
    }
  | {
      readonly kind: 'done';
      readonly ended: string;
      readonly ms: number;
      readonly calls: number;
      readonly succeeded: number;
      readonly failed: number;
      readonly rejected: number;
      readonly attempts: number;
    };

type CallEvent = Extract<TryEvent, { readonly kind: 'call' }>;
type CircuitEvent = Extract<TryEvent, { readonly kind: 'circuit' }>;

/** Calls and changes that the table shows. */
const SHOWN_CALLS = 10;
const SHOWN_CHANGES = 5;

/** One event as a line. */
export function lineOf(event: TryEvent): string {
  switch (event.kind) {
    case 'start':
      return printable(
        `${event.calls} calls of ${event.url} under policy ${event.policy}, key ${event.key}${breaker(event.circuit)}`,
      );
    case 'call':
      return printable(
        `${seconds(event.atMs)}  call ${event.n} ${event.outcome}: ${became(event)}, ${attempts(event.attempts)}, ${Math.round(event.ms)} ms${breaker(event.circuit)}`,
      );
    case 'circuit':
      return printable(`${seconds(event.atMs)}  ${changed(event)}`);
    case 'done':
      return printable(
        `${event.calls} calls in ${seconds(event.ms)}: ${event.succeeded} succeeded, ${event.failed} failed, ${event.rejected} rejected; ${attempts(event.attempts)} reached the URL${event.ended === 'out-of-time' ? '; the time for a run was over' : ''}`,
      );
  }
}

/** How a run stands. */
export class TryView {
  private start: Extract<TryEvent, { readonly kind: 'start' }> | undefined;
  private circuit: string | null = null;
  private readonly calls: CallEvent[] = [];
  private readonly changes: CircuitEvent[] = [];
  private readonly counts = { succeeded: 0, failed: 0, rejected: 0, attempts: 0 };
  private done: string | undefined;

  /** Takes an event in. */
  take(event: TryEvent): void {
    switch (event.kind) {
      case 'start':
        this.start = event;
        this.circuit = event.circuit;
        return;
      case 'call':
        this.circuit = event.circuit;
        this.counts[event.outcome]++;
        this.counts.attempts += event.attempts;
        keep(this.calls, event, SHOWN_CALLS);
        return;
      case 'circuit':
        this.circuit = event.current;
        keep(this.changes, event, SHOWN_CHANGES);
        return;
      case 'done':
        this.done = lineOf(event);
    }
  }

  /** The table, no line longer than `columns`. */
  lines(columns: number): readonly string[] {
    const { counts, start } = this;
    const made = counts.succeeded + counts.failed + counts.rejected;
    const totals = tableText(
      ['circuit', 'calls', 'succeeded', 'failed', 'rejected', 'attempts'],
      [
        [
          this.circuit === null ? 'no breaker' : this.circuit.toUpperCase(),
          `${made}/${start?.calls ?? '?'}`,
          counts.succeeded,
          counts.failed,
          counts.rejected,
          counts.attempts,
        ],
      ],
    );
    const calls = tableText(
      ['call', 'at', 'outcome', 'answer', 'attempts', 'ms', 'circuit'],
      this.calls.map((call) => [
        call.n,
        seconds(call.atMs),
        call.outcome,
        became(call),
        call.attempts,
        Math.round(call.ms),
        call.circuit,
      ]),
    );
    const changes = this.changes.map((change) => `${seconds(change.atMs)}  ${changed(change)}`);
    const text = [
      start === undefined ? '' : lineOf(start),
      '',
      ...rowsOf(totals),
      '',
      ...rowsOf(calls),
      ...(changes.length === 0 ? [] : ['', ...changes]),
      ...(this.done === undefined ? [] : ['', this.done]),
    ];
    // A line that wraps would be two, and the table could not be drawn over again.
    return text.map((line) => (line === '' ? '' : printable(line).slice(0, Math.max(20, columns - 1))));
  }
}

function keep<T>(items: T[], item: T, most: number): void {
  items.push(item);
  if (items.length > most) items.shift();
}

function rowsOf(table: string): string[] {
  return table.split('\n').slice(0, -1);
}

function became({ status, code, message, outcome }: CallEvent): string {
  if (outcome === 'succeeded') return status === undefined ? 'done' : `status ${status}`;
  if (code === 'try-answer-failed' && status !== undefined) return `status ${status}`;
  return code ?? message ?? 'unknown';
}

function changed({ strategy, previous, current, reason, breakMs }: CircuitEvent): string {
  const forHow = breakMs === undefined ? '' : ` for ${seconds(breakMs)}`;
  return `${strategy} ${previous} -> ${current}${forHow}: ${reason}`;
}

function breaker(circuit: string | null): string {
  return circuit === null ? '' : `, breaker ${circuit}`;
}

function attempts(count: number): string {
  return count === 1 ? '1 attempt' : `${count} attempts`;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
