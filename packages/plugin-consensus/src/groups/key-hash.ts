// The hash of keys is the SDK's, which clients share.

export { keyHash } from '@datawarehouse/sdk/client-protocol';
