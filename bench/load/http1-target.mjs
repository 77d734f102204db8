// A closed-loop client of the dw HTTP API: one keep-alive connection, one PUT under way, written and read as raw
// bytes, so that the load generator costs the servers as little of the two cores as it can.
import { connect } from 'node:net';

const END = Buffer.from('\r\n\r\n');

/** Opens a connection and resolves with `put(key, value) → Promise<boolean>`. */
export function openHttp1({ host, port }) {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true });
    let waiting;
    let buffered = Buffer.alloc(0);
    socket.once('error', reject);
    socket.on('close', () => waiting?.(false));
    socket.on('data', (chunk) => {
      buffered = buffered.length === 0 ? chunk : Buffer.concat([buffered, chunk]);
      const headEnd = buffered.indexOf(END);
      if (headEnd < 0) return;
      const head = buffered.latin1Slice(0, headEnd);
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      const total = headEnd + 4 + length;
      if (buffered.length < total) return;
      buffered = buffered.subarray(total);
      const done = waiting;
      waiting = undefined;
      done?.(head.startsWith('HTTP/1.1 200'));
    });
    socket.once('connect', () => {
      const tail = ` HTTP/1.1\r\nHost: ${host}:${port}\r\nContent-Type: application/octet-stream\r\nContent-Length: `;
      resolve({
        put(key, value) {
          return new Promise((answer) => {
            waiting = answer;
            const head = Buffer.from(`PUT /v1/kv/${key}${tail}${value.length}\r\n\r\n`, 'latin1');
            socket.write(Buffer.concat([head, value]));
          });
        },
        close: () => socket.destroy(),
      });
    });
  });
}
