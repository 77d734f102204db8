// A node of a cluster as a process of its own, from the built package: answers `echo`, never answers `never`, and says
// goodbye when it is asked to end. Its one argument is JSON: {"id": "n2", "peers": {"n1": "host:port", …}}.

import { randomUUID } from 'node:crypto';
import { TcpPeerTransport } from '@datawarehouse/plugin-cluster';

const { id, peers } = JSON.parse(process.argv[2] ?? '');
const [host = '', port = ''] = peers[id].split(':');
const silent = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silent,
};

const transport = new TcpPeerTransport({
  identity: {
    clusterId: 'test-cluster',
    nodeId: id,
    incarnation: randomUUID(),
    http: `http://127.0.0.1/${id}`,
    version: '1.2.3',
    pid: process.pid,
  },
  listen: { host, port: Number(port) },
  peers,
  log: silent,
});
transport.handle('echo', { onRequest: async (_from, payload) => Buffer.from(payload) });
transport.handle('never', { onRequest: () => new Promise(() => {}) });
async function leave() {
  await transport.leave(1_000);
  await transport.close();
}

process.once('SIGTERM', () => {
  leave().catch((error) => {
    console.error(error);
    process.exit(1);
  });
});
await transport.start();
console.log('listening');
