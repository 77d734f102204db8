// The reader of binary formats is the SDK's; this is its place in this package.

export { ByteReader } from '@datawarehouse/sdk';
