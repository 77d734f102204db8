// The door of the client protocol: what `@datawarehouse/client` and the client port of a node share. It needs nothing
// but Node.js.

export { ByteReader, ByteWriter } from '../codec/index.js';
export { DwError, isDwError } from '../errors/index.js';
export * from './answers.js';
export * from './frame.js';
export * from './handshake.js';
export { HashRing } from './hash-ring.js';
export { keyHash } from './key-hash.js';
export * from './requests.js';
