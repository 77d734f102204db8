// `@datawarehouse/client` under load: either one client that all callers share, as a program would have it, or a client
// with connections of its own for each caller.
import { connect } from '../../packages/client/dist/index.js';

const addresses = (targets) => targets.map(({ host, clientPort }) => `${host}:${clientPort}`);

function caller(client, close) {
  return {
    put: (key, value) =>
      client.put(key, value).then(
        () => true,
        () => false,
      ),
    get: (key) =>
      client.get(key).then(
        () => true,
        () => false,
      ),
    close,
  };
}

let shared;

/** One client for all callers. */
export async function openSharedClient(_target, targets) {
  shared ??= connect({ endpoints: addresses(targets) });
  const client = await shared;
  return caller(client, () => {});
}

/** A client for each caller. */
export async function openOwnClient(_target, targets) {
  const client = await connect({ endpoints: addresses(targets), connectTimeoutMs: 20_000 });
  return caller(client, () => client.destroy());
}
