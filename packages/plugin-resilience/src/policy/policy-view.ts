// What an operator sees of a policy.

import type { Layer } from '../engine/layer.js';
import type { PolicyStatistics } from '../stats/policy-stats.js';
import type { PolicyDocument } from './document.js';
import { strategyName } from './document.js';
import type { Instance, Row } from './instances.js';

/** Keys that a view shows, and keys that are looked at for those that hold something. */
const SHOWN_KEYS = 100;
const LOOKED_AT_KEYS = 2_000;

/** A layer of one key. */
export interface LayerView {
  readonly type: string;
  readonly name: string;
  /** Of a breaker: `state`, `remainingMs`, `transitions`. Undefined for a layer without state. */
  readonly state?: Readonly<Record<string, unknown>>;
}

/** One key of a policy. */
export interface KeyView {
  readonly key: string;
  /** Calls under way. */
  readonly running: number;
  /** Whether it holds nothing that a new one would not. */
  readonly idle: boolean;
  /** Outermost first. */
  readonly layers: readonly LayerView[];
}

/** A policy with its keys. */
export interface PolicyView {
  readonly name: string;
  readonly document: PolicyDocument;
  readonly statistics: PolicyStatistics;
  /** Keys that have state; those shown may be fewer. */
  readonly keyCount: number;
  /** The one that was asked for; else at most 100, those that hold something before those that are idle. */
  readonly keys: readonly KeyView[];
}

/** What one key holds. */
export function viewOfKey(instance: Instance, { layers, shape }: Row, now: number): KeyView {
  return {
    key: instance.key,
    running: instance.running,
    idle: instance.running === 0 && layers.every((layer) => layer.idle(now)),
    layers: shape.strategies.map(({ type, options }, at) => {
      const state = (layers[at] as Layer).view?.(now);
      return { type, name: strategyName(options), ...(state === undefined ? {} : { state }) };
    }),
  };
}

/** Some keys of many: those that hold something first. Looks at a bounded number. */
export function viewOfSome(
  instances: Iterable<Instance>,
  rowOf: (instance: Instance) => Row,
  now: number,
): readonly KeyView[] {
  const busy: KeyView[] = [];
  const idle: KeyView[] = [];
  let seen = 0;
  for (const instance of instances) {
    if (++seen > LOOKED_AT_KEYS || busy.length === SHOWN_KEYS) break;
    const found = viewOfKey(instance, rowOf(instance), now);
    (found.idle ? idle : busy).push(found);
  }
  return [...busy, ...idle].slice(0, SHOWN_KEYS);
}
