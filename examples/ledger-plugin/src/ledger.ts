// The state machine: accounts and their balances. Everything it does follows from the commands alone, so that all
// replicas agree; what cannot be done is an answer, never a throw.

import type { AppliedEntry, IStateMachine } from '@datawarehouse/sdk';

/** A change of the ledger. Amounts are whole numbers of the smallest unit. */
export type LedgerCommand =
  | { readonly op: 'deposit'; readonly account: string; readonly amount: number }
  | { readonly op: 'transfer'; readonly from: string; readonly to: string; readonly amount: number };

/** What became of a command. */
export type LedgerAnswer =
  | { readonly ok: true; readonly balance: number }
  | { readonly ok: false; readonly reason: 'malformed' | 'insufficient' | 'overflow' };

/** Accounts and balances. */
export class Ledger implements IStateMachine {
  private balances = new Map<string, number>();

  /** Balance of an account; undefined when it was never used. */
  balance(account: string): number | undefined {
    return this.balances.get(account);
  }

  apply({ data }: AppliedEntry): Uint8Array {
    const command = decodeCommand(data);
    const answer: LedgerAnswer =
      command === undefined ? { ok: false, reason: 'malformed' } : this.run(command);
    return encode(answer);
  }

  /** The accounts by name, a line each. The copy is made now: what is applied while it is pulled must not show. */
  snapshot(): Iterable<Uint8Array> {
    const accounts = [...this.balances].sort(([a], [b]) => (a < b ? -1 : 1));
    return lines(accounts);
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    const balances = new Map<string, number>();
    let rest = '';
    for await (const chunk of chunks) {
      const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = parts.pop() ?? '';
      for (const line of parts) {
        const [account, balance] = JSON.parse(line) as [string, number];
        balances.set(account, balance);
      }
    }
    if (rest !== '') throw new Error('the snapshot of the ledger ends in the middle of a line');
    this.balances = balances;
  }

  /** For nodes without a replica: the balance of the account that is asked for. */
  query(request: Uint8Array): Uint8Array {
    const balance = this.balances.get(new TextDecoder().decode(request));
    return encode(balance === undefined ? {} : { balance });
  }

  private run(command: LedgerCommand): LedgerAnswer {
    if (command.op === 'deposit') return this.add(command.account, command.amount);
    const held = this.balances.get(command.from) ?? 0;
    if (held < command.amount) return { ok: false, reason: 'insufficient' };
    if (command.from === command.to) return { ok: true, balance: held };
    const added = this.add(command.to, command.amount);
    if (!added.ok) return added;
    this.balances.set(command.from, held - command.amount);
    return { ok: true, balance: held - command.amount };
  }

  private add(account: string, amount: number): LedgerAnswer {
    const balance = (this.balances.get(account) ?? 0) + amount;
    if (!Number.isSafeInteger(balance)) return { ok: false, reason: 'overflow' };
    this.balances.set(account, balance);
    return { ok: true, balance };
  }
}

/** A command as bytes. */
export function encodeCommand(command: LedgerCommand): Uint8Array {
  return encode(command);
}

/** Bytes as an answer. */
export function decodeAnswer(bytes: Uint8Array): LedgerAnswer {
  return JSON.parse(new TextDecoder().decode(bytes)) as LedgerAnswer;
}

/** Undefined for bytes that are no command: whoever can reach the group can send any. */
function decodeCommand(bytes: Uint8Array): LedgerCommand | undefined {
  let command: Partial<Record<string, unknown>> | null;
  try {
    command = JSON.parse(new TextDecoder().decode(bytes)) as Partial<Record<string, unknown>> | null;
  } catch {
    return undefined;
  }
  const { op, account, from, to, amount } = command ?? {};
  if (typeof amount !== 'number' || !Number.isSafeInteger(amount) || amount <= 0) return undefined;
  if (op === 'deposit' && isName(account)) return { op, account, amount };
  return op === 'transfer' && isName(from) && isName(to) ? { op, from, to, amount } : undefined;
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= 100;
}

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

function* lines(accounts: readonly (readonly [string, number])[]): Generator<Uint8Array> {
  for (const account of accounts) yield new TextEncoder().encode(`${JSON.stringify(account)}\n`);
}
