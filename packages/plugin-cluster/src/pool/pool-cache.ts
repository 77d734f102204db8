// The pools of all peers that are connected. Bounded, and never silent about it: a pool that has to go closes its
// connections. The one whose bulk connections were used least recently goes first, since what a pool costs is these.

import { BoundedCache } from '@datawarehouse/sdk';
import type { Clock } from '@datawarehouse/sdk';
import type { ConnectionPool } from './connection-pool.js';

/** Pools by peer. */
export class PoolCache {
  private readonly pools: BoundedCache<string, Pick<ConnectionPool, 'close'>>;

  /** @param maxEntries pools at most, from 1. */
  constructor(maxEntries: number, clock: Clock) {
    this.pools = new BoundedCache({
      name: 'connection pools',
      maxEntries,
      clock,
      onEvicted: (_peer, pool) => pool.close('evicted'),
    });
  }

  /** Pools that are kept. */
  get size(): number {
    return this.pools.size;
  }

  /** How many of all {@link use} found their pool: 0 to 1. */
  get hitRate(): number {
    return this.pools.statistics().hitRate;
  }

  put(peer: string, pool: Pick<ConnectionPool, 'close'>): void {
    this.pools.put(peer, pool);
  }

  /** Bulk is about to be sent to the peer. */
  use(peer: string): void {
    this.pools.get(peer);
  }

  /** The peer's pool is closed. */
  remove(peer: string): void {
    this.pools.delete(peer);
  }

  resize(maxEntries: number): void {
    this.pools.resize(maxEntries);
  }

  clear(): void {
    this.pools.clear();
  }
}
