// The writer of binary formats is the SDK's; this is its place in this package.

export { ByteWriter } from '@datawarehouse/sdk';
