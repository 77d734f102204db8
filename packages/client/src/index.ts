// The client of the replicated key-value store: `connect` is where to begin.

export { DwClient, connect } from './dw-client.js';
export type { CallOptions, Entry, KeyPage, ReadOptions, WatchOptions, WriteOptions } from './dw-client.js';
export { DwClientError, isDwClientError } from './errors.js';
export type { DwClientErrorOptions } from './errors.js';
export type { ClientOptions, ClientTlsOptions } from './options.js';
export { Watch } from './watch/watch.js';
export type { WatchEvent } from './watch/watch.js';
export type { ListedKey, ReadMode } from '@datawarehouse/sdk/client-protocol';
