// What can be wrong with who a node says it is.

import { DwError } from '@datawarehouse/sdk';

/** The data directory holds the storage of another node, or was put together from several. */
export function storageSwapped(nodeId: string, why: string): DwError {
  return new DwError({
    code: 'storage-swapped',
    message: `The data directory of node ${nodeId} is not its own: ${why}. The node takes part in nothing`,
    hint: 'give each node its own directory back; to start this node afresh, empty its directory: it comes back as a learner',
    status: 503,
  });
}

/** A node asks under the storage id of another one. */
export function storageOfAnother(nodeId: string, owner: string): DwError {
  return new DwError({
    code: 'storage-of-another-node',
    message: `Node ${nodeId} came with the storage that is known as that of node ${owner}`,
    hint: 'two nodes were started on one directory, or directories were swapped: give each node its own',
    status: 409,
    details: { owner },
  });
}

/** More nodes introduced themselves than a cluster has. */
export function identityTableFull(limit: number): DwError {
  return new DwError({
    code: 'identity-table-full',
    message: `This node knows the storage of ${limit} nodes and takes no further one`,
    hint: 'remove nodes that are gone from the cluster',
    status: 507,
  });
}
