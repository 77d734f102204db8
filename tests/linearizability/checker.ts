// Decides whether a history of one key is linearizable: is there an order of its operations, agreeing with real time,
// in which each answer is right?
//
// The algorithm is Wing and Gong's search ("Testing and Verifying Concurrent Objects", 1993) with Lowe's memoisation
// ("Testing for Linearizability", 2017): a set of operations already placed together with the state they led to is
// explored once. Keys are independent objects, so each is checked alone (linearizability is local: Herlihy and Wing).
//
// An operation whose outcome is unknown may stand anywhere behind its call, or nowhere. Those are tried last, because most
// of them explain nothing, and of several that nobody could tell apart only the first: else each doubles what there is to
// look through.
//
// Most histories are ordered with hardly a step back, and there the memory is most of the work: a search begins without
// it, and begins anew with it once it has gone back too often.

import { ABSENT, stateKey, step } from './model.js';
import type { KeyState, Operation, Outcome } from './model.js';

/** One operation of a client on one key. Times are from one monotonic clock. */
export interface HistoryEntry {
  readonly client: number;
  readonly key: string;
  readonly operation: Operation;
  readonly outcome: Outcome;
  readonly calledAt: number;
  /** Ignored when the outcome is unknown: such an operation may take effect at any time later. */
  readonly returnedAt: number;
}

/** What the check found. */
export type Verdict =
  | { readonly linearizable: true; readonly operations: number }
  | {
      readonly linearizable: false;
      readonly key: string;
      /** The longest order found, and the operation that could not be placed after it. */
      readonly longestPrefix: readonly HistoryEntry[];
      readonly stuckAt: HistoryEntry;
    };

/** Steps back that a search may take without a memory, besides one for each operation. */
const FREE_STEPS_BACK = 1_000;

interface Node {
  /** What it does, the same text for operations that nobody can tell apart; undefined when it has an answer. */
  readonly kin: string | undefined;
  /** Its place among all events, in order of time. */
  place: number;
  readonly entry: HistoryEntry;
  /** The return event of a call event; undefined for a return event itself and for calls that never returned. */
  readonly ret: Node | undefined;
  readonly isCall: boolean;
  prev: Node | undefined;
  next: Node | undefined;
}

/** The events of a history, in order of time, as a linked list behind a head; calls before returns at equal times. */
function eventList(history: readonly HistoryEntry[]): { head: Node; returns: number } {
  const read = new Set(history.map(({ outcome }) => (outcome.kind === 'read' ? outcome.value : undefined)));
  const events: { time: number; order: number; node: Node }[] = [];
  let returns = 0;
  for (const entry of history) {
    const open = entry.outcome.kind === 'unknown';
    const ret: Node | undefined = open
      ? undefined
      : {
          kin: undefined,
          place: 0,
          entry,
          ret: undefined,
          isCall: false,
          prev: undefined,
          next: undefined,
        };
    const kin = open ? kinOf(entry.operation, read) : undefined;
    events.push({
      time: entry.calledAt,
      order: 0,
      node: { kin, place: 0, entry, ret, isCall: true, prev: undefined, next: undefined },
    });
    if (ret !== undefined) {
      returns += 1;
      events.push({ time: entry.returnedAt, order: 1, node: ret });
    }
  }
  events.sort((a, b) => a.time - b.time || a.order - b.order);
  const first = history[0];
  if (first === undefined) throw new Error('an empty history has no events');
  const head: Node = {
    kin: undefined,
    place: -1,
    entry: first,
    ret: undefined,
    isCall: false,
    prev: undefined,
    next: undefined,
  };
  let last = head;
  events.forEach(({ node }, place) => {
    node.place = place;
    last.next = node;
    node.prev = last;
    last = node;
  });
  return { head, returns };
}

/** What tells an operation of unknown outcome from others: what it does, and what it writes if that was ever read. */
function kinOf(operation: Operation, read: ReadonlySet<string | undefined>): string {
  const value = 'value' in operation && read.has(operation.value) ? operation.value : '';
  return `${operation.kind} ${operation.kind === 'cas' ? operation.expected : ''} ${value}`;
}

/** Whether one that nobody can tell from it comes before it, so that there is no need to try this one. */
function hasEarlierKin(head: Node, node: Node): boolean {
  for (let at = head.next; at !== undefined && at !== node; at = at.next) {
    if (at.isCall && at.kin === node.kin) return true;
  }
  return false;
}

function unlink(node: Node): void {
  if (node.prev !== undefined) node.prev.next = node.next;
  if (node.next !== undefined) node.next.prev = node.prev;
}

function relink(node: Node): void {
  if (node.prev !== undefined) node.prev.next = node;
  if (node.next !== undefined) node.next.prev = node;
}

/**
 * Names the set of operations that are placed when `node` is, too: the furthest of them, and those before it that are
 * not. An order follows time but for what is concurrent, so that these are few, however long the history is.
 */
function nameOfPlaced(head: Node, node: Node, furthestBefore: number): string {
  const furthest = Math.max(furthestBefore, node.place);
  let name = `${furthest}`;
  for (let at = head.next; at !== undefined && at.place < furthest; at = at.next) {
    if (at.isCall && at !== node) name += `,${at.place}`;
  }
  return name;
}

/** Checks the history of one key. */
export function checkKey(history: readonly HistoryEntry[]): Verdict {
  if (history.length === 0) return { linearizable: true, operations: 0 };
  if (hasPlainOrder(history)) return { linearizable: true, operations: history.length };
  return search(history, new Set(), Infinity);
}

/** Whether an order is found without a memory, in few steps back. False says nothing. */
function hasPlainOrder(history: readonly HistoryEntry[]): boolean {
  return search(history, undefined, FREE_STEPS_BACK + history.length).linearizable;
}

/**
 * Looks for an order.
 * @param seen What was explored; undefined for a search without a memory, whose failure says nothing of where.
 * @param stepsBack How often it may go back before it gives up.
 */
function search(history: readonly HistoryEntry[], seen: Set<string> | undefined, stepsBack: number): Verdict {
  const { head, returns } = eventList(history);
  let stepsLeft = stepsBack;
  const stack: { node: Node; state: KeyState; furthest: number; open: boolean }[] = [];
  let state: KeyState = ABSENT;
  /** Place of the furthest operation that is placed. */
  let furthest = -1;
  let unanswered = returns;
  /** Whether it is the turn of the operations whose outcome is unknown. */
  let open = false;
  let at = head.next;
  let longestPrefix: HistoryEntry[] = [];
  let stuckAt = history[0] as HistoryEntry;

  while (unanswered > 0) {
    if (at === undefined) throw new Error('an answered operation is missing from the event list');
    if (at.isCall) {
      if ((at.kin !== undefined) !== open || (open && hasEarlierKin(head, at))) {
        at = at.next;
        continue;
      }
      const after = step(state, at.entry.operation, at.entry.outcome);
      // What changes nothing, and need not have happened, explains nothing.
      if (after !== undefined && !(open && after === state)) {
        const memo = seen && `${nameOfPlaced(head, at, furthest)}|${stateKey(after)}`;
        if (memo === undefined || seen?.has(memo) === false) {
          if (memo !== undefined) seen?.add(memo);
          stack.push({ node: at, state, furthest, open });
          state = after;
          furthest = Math.max(furthest, at.place);
          unlink(at);
          if (at.ret !== undefined) {
            unlink(at.ret);
            unanswered -= 1;
          }
          open = false;
          at = head.next;
          continue;
        }
      }
      at = at.next;
      continue;
    }
    // An operation returned that could not be placed. Perhaps one came before it of which nobody knows.
    if (!open) {
      open = true;
      at = head.next;
      continue;
    }
    // Go back and place another one first.
    if (seen !== undefined && stack.length >= longestPrefix.length) {
      longestPrefix = stack.map(({ node }) => node.entry);
      stuckAt = at.entry;
    }
    const last = stack.pop();
    if (last === undefined || stepsLeft-- === 0) {
      return { linearizable: false, key: stuckAt.key, longestPrefix, stuckAt };
    }
    state = last.state;
    furthest = last.furthest;
    open = last.open;
    if (last.node.ret !== undefined) {
      relink(last.node.ret);
      unanswered += 1;
    }
    relink(last.node);
    at = last.node.next;
  }
  return { linearizable: true, operations: history.length };
}

/** Checks a history over many keys, each alone. */
export function checkLinearizable(history: readonly HistoryEntry[]): Verdict {
  const byKey = new Map<string, HistoryEntry[]>();
  for (const entry of history) {
    const list = byKey.get(entry.key);
    if (list === undefined) byKey.set(entry.key, [entry]);
    else list.push(entry);
  }
  for (const list of byKey.values()) {
    const verdict = checkKey(list);
    if (!verdict.linearizable) return verdict;
  }
  return { linearizable: true, operations: history.length };
}

/** A few lines that show where a history stopped being linearizable. */
export function explain(verdict: Verdict): string {
  if (verdict.linearizable) return `linearizable, ${verdict.operations} operations`;
  const line = (entry: HistoryEntry): string =>
    `client ${entry.client} ${JSON.stringify(entry.operation)} → ${JSON.stringify(entry.outcome)} ` +
    `[${entry.calledAt.toFixed(1)}, ${entry.returnedAt.toFixed(1)}]`;
  return [
    `key ${verdict.key} is not linearizable: cannot place`,
    `  ${line(verdict.stuckAt)}`,
    'after',
    ...verdict.longestPrefix.slice(-8).map((entry) => `  ${line(entry)}`),
  ].join('\n');
}
