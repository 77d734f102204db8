// Which group owns a key is decided by the SDK's ring, which clients share: both must come to the same group.

export { HashRing } from '@datawarehouse/sdk/client-protocol';
