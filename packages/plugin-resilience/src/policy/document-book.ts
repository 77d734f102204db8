// Which policies this node has, and from where: those that ship, those of the configuration over them, and those that were
// set at run time over both. What was set at run time is on disk before anybody is told that it holds, and is there again
// after a restart.

import { errorMessage, isDwError } from '@datawarehouse/sdk';
import type { IPersistentBackingStore, Logger } from '@datawarehouse/sdk';
import { policiesExhausted, policyNotRemovable, policyUnknown } from '../errors.js';
import type { PolicyDocument } from './document.js';
import { readPolicyDocument } from './document.js';
import type { LintFinding } from './linter.js';
import { refuseUnworkable } from './linter.js';
import { TurnQueue } from './turn-queue.js';

/** Where a policy comes from, in rising order: each wins over those before it. */
export type PolicySource = 'shipped' | 'configured' | 'run-time';

const SOURCES: readonly PolicySource[] = ['run-time', 'configured', 'shipped'];

/** A policy as it was given. */
export interface KeptPolicy {
  readonly source: PolicySource;
  /** As it was given, so that what it leaves out follows the defaults of the day. */
  readonly given: unknown;
  /** Who set it: `http`, `bus:<plugin>`, `configuration`, … */
  readonly by: string;
  /** Milliseconds since 1970 UTC, for display. */
  readonly at: number;
}

/** What a change did. */
export interface PolicyChange {
  readonly policy: string;
  readonly change: 'added' | 'replaced' | 'removed' | 'restored';
  /** The document in force now; null when there is none. */
  readonly document: PolicyDocument | null;
  /** Where that comes from. */
  readonly source: PolicySource | null;
  readonly warnings: readonly LintFinding[];
}

/** Where the policies are put in force. */
export interface PolicyTarget {
  /** @throws DwError `policy-invalid`, and nothing has changed. */
  set(document: PolicyDocument): void;
  remove(name: string): void;
}

/** What a {@link PolicyBook} needs. */
export interface PolicyBookOptions {
  readonly store: IPersistentBackingStore;
  /** Makes the path of a policy in the store. Called with the name, or with the empty text for what all begin with. */
  readonly path: (name: string) => string;
  readonly target: PolicyTarget;
  readonly log: Logger;
  readonly wallTime: () => number;
  /** What is made of a document that was read, before it is put in force: the limits of the day. */
  readonly adjust?: (document: PolicyDocument, given: unknown) => PolicyDocument;
  /** Called before a policy goes for good: what is kept of it elsewhere goes, too. */
  readonly goes?: (name: string) => Promise<void>;
  /** Most policies that there may be. */
  readonly maxPolicies: () => number;
}

/** The policies of a node, by name and source. */
export class PolicyBook {
  private readonly layers = new Map<PolicySource, Map<string, KeptPolicy>>(
    SOURCES.map((source) => [source, new Map<string, KeptPolicy>()]),
  );
  /** Names whose policy on disk could not be used, with why. */
  private readonly unusable = new Map<string, string>();
  private readonly turns = new TurnQueue();
  /** In force, and on its way to the disk. */
  private pending: { readonly name: string; readonly kept: KeptPolicy } | undefined;

  constructor(private readonly options: PolicyBookOptions) {}

  /** Why policies on disk are not in force, by name; empty when all are. */
  get problems(): ReadonlyMap<string, string> {
    return this.unusable;
  }

  /** The policy that is in force under a name. @throws DwError `policy-unknown`. */
  kept(name: string): KeptPolicy {
    const kept = this.find(name);
    if (kept === undefined) throw policyUnknown(name, this.names());
    return kept;
  }

  /** What a document would be in force. Changes nothing. @throws DwError `policy-invalid`. */
  check(given: unknown): PolicyDocument {
    const document = this.read(given);
    refuseUnworkable(document);
    return document;
  }

  /** Every name that has a policy. */
  names(): readonly string[] {
    return [...new Set([...this.layers.values()].flatMap((layer) => [...layer.keys()]))].sort();
  }

  /**
   * Puts a policy of the configuration or one that ships in force, for this run only.
   * @throws DwError `policy-invalid`.
   */
  provide(given: unknown, source: 'shipped' | 'configured'): PolicyDocument {
    const document = this.read(given);
    const warnings = refuseUnworkable(document);
    this.options.target.set(document);
    const by = source === 'shipped' ? 'this version' : 'configuration';
    this.layer(source).set(document.name, { source, given: copyOf(given), by, at: this.options.wallTime() });
    for (const { rule, message, why } of source === 'configured' ? warnings : []) {
      this.options.log.warn({ policy: document.name, rule }, `policy ${document.name}: ${message}: ${why}`);
    }
    return document;
  }

  /** Takes over what was set at run time before, from the disk. What cannot be used is logged, shown, and left there. */
  async restore(): Promise<void> {
    const { store, path, target, log } = this.options;
    for (const place of await store.listAsync(path(''))) {
      const bytes = await store.readAsync(place);
      if (bytes === null) continue;
      const name = place.slice(path('').length);
      try {
        const { given, by, at } = JSON.parse(Buffer.from(bytes).toString('utf8')) as KeptPolicy;
        const document = this.read(given);
        refuseUnworkable(document);
        target.set(document);
        this.layer('run-time').set(document.name, { source: 'run-time', given, by, at });
      } catch (thrown) {
        this.unusable.set(name, errorMessage(thrown));
        log.error(
          { policy: name, code: isDwError(thrown) ? thrown.code : 'policy-unreadable' },
          `the policy ${name} that was set at run time cannot be used and is not in force: ${errorMessage(thrown)}`,
        );
      }
    }
  }

  /**
   * Sets a policy at run time. It is in force and on disk when this resolves.
   * @param by Who asks, for the log.
   * @throws DwError `policy-invalid`, `policies-exhausted`, `policies-busy`; what the store throws. Then nothing has changed.
   */
  set(given: unknown, by: string): Promise<PolicyChange> {
    return this.turns.run(async () => {
      const document = this.read(given);
      const { name } = document;
      const warnings = refuseUnworkable(document);
      const before = this.find(name);
      const most = this.options.maxPolicies();
      if (before === undefined && this.names().length >= most) throw policiesExhausted(most);
      const kept: KeptPolicy = {
        source: 'run-time',
        given: copyOf(given),
        by,
        at: this.options.wallTime(),
      };
      this.options.target.set(document);
      this.pending = { name, kept };
      try {
        await this.options.store.writeAsync(this.options.path(name), Buffer.from(JSON.stringify(kept)));
      } catch (thrown) {
        this.putBack(name, before);
        throw thrown;
      } finally {
        this.pending = undefined;
      }
      this.layer('run-time').set(name, kept);
      this.unusable.delete(name);
      const change = before === undefined ? 'added' : 'replaced';
      this.options.log.info({ policy: name, by, change, document }, `policy ${name} was ${change} by ${by}`);
      return { policy: name, change, document, source: 'run-time', warnings };
    });
  }

  /**
   * Removes what was set at run time; the policy of the configuration, or the one that ships, holds again. Those
   * themselves cannot be removed: they would be there again after the next restart.
   * @throws DwError `policy-unknown`, `policy-not-removable`; what the store throws.
   */
  remove(name: string, by: string): Promise<PolicyChange> {
    return this.turns.run(async () => {
      const inForce = this.find(name);
      if (!this.unusable.has(name)) {
        const { source } = this.kept(name);
        if (source !== 'run-time') throw policyNotRemovable(name, source);
      }
      const goes = !this.layer('configured').has(name) && !this.layer('shipped').has(name);
      if (goes) await this.options.goes?.(name);
      await this.options.store.deleteAsync(this.options.path(name));
      this.layer('run-time').delete(name);
      this.unusable.delete(name);
      const below = this.find(name);
      // One that could not be used was never in force.
      const document = inForce === undefined ? null : this.putBack(name, below);
      const change = below === undefined ? 'removed' : 'restored';
      this.options.log.info(
        { policy: name, by, change },
        below === undefined
          ? `policy ${name} was removed by ${by}`
          : `what was set as policy ${name} was removed by ${by}; the ${below.source} one holds again`,
      );
      return { policy: name, change, document, source: below?.source ?? null, warnings: [] };
    });
  }

  /** Puts every policy in force again, since what `adjust` makes of them has changed. */
  readjust(): void {
    const { pending } = this;
    for (const name of this.names()) if (name !== pending?.name) this.putBack(name, this.find(name));
    if (pending !== undefined) this.putBack(pending.name, pending.kept);
  }

  private read(given: unknown): PolicyDocument {
    const document = readPolicyDocument(given);
    return this.options.adjust?.(document, given) ?? document;
  }

  private find(name: string): KeptPolicy | undefined {
    for (const source of SOURCES) {
      const kept = this.layer(source).get(name);
      if (kept !== undefined) return kept;
    }
    return undefined;
  }

  private putBack(name: string, kept: KeptPolicy | undefined): PolicyDocument | null {
    if (kept === undefined) {
      this.options.target.remove(name);
      return null;
    }
    const document = this.read(kept.given);
    this.options.target.set(document);
    return document;
  }

  private layer(source: PolicySource): Map<string, KeptPolicy> {
    return this.layers.get(source) as Map<string, KeptPolicy>;
  }
}

/** What was read is plain JSON data; whoever gave it may change it afterwards, and that is no change of the policy. */
function copyOf(given: unknown): unknown {
  return JSON.parse(JSON.stringify(given));
}
