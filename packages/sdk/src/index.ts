// The door of the SDK: everything a plugin may import, and nothing else.

export * from './bus/index.js';
export { ByteReader, ByteWriter } from './codec/index.js';
export { crc32 } from './checksum/crc32.js';
export * from './consensus/index.js';
export * from './errors/index.js';
export * from './http/index.js';
export * from './network/index.js';
export * from './persistence/index.js';
export * from './plugin/index.js';
export * from './resilience/index.js';
export * from './scaling/index.js';
export * from './time/index.js';
export { Type } from '@sinclair/typebox';
export type { Static, TSchema } from '@sinclair/typebox';
