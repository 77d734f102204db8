// A closed-loop client of etcd's gRPC API: one HTTP/2 connection, one Put under way, frames made and read by hand
// (RFC 9113, header fields as plain literals, RFC 7541), so that it costs about what the HTTP/1.1 client costs.
import { connect } from 'node:net';

const DATA = 0;
const HEADERS = 1;
const SETTINGS = 4;
const PING = 6;
const WINDOW_UPDATE = 8;
const END_STREAM = 1;
const ACK = 1;
const END_HEADERS = 4;

function frame(type, flags, stream, payload) {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

function literal(name, value) {
  return Buffer.concat([
    Buffer.from([0, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ]);
}

function varint(n) {
  const bytes = [];
  for (; n > 127; n >>>= 7) bytes.push((n & 127) | 128);
  bytes.push(n);
  return Buffer.from(bytes);
}

function field(number, bytes) {
  return Buffer.concat([Buffer.from([(number << 3) | 2]), varint(bytes.length), bytes]);
}

/** Opens a connection and resolves with `put(key, value) → Promise<boolean>`. */
export function openGrpc({ host, port }) {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true });
    let waiting;
    let answered = false;
    let stream = -1;
    let buffered = Buffer.alloc(0);
    const headersOf = (method) =>
      Buffer.concat([
        literal(':method', 'POST'),
        literal(':scheme', 'http'),
        literal(':path', `/etcdserverpb.KV/${method}`),
        literal(':authority', `${host}:${port}`),
        literal('te', 'trailers'),
        literal('content-type', 'application/grpc'),
      ]);
    const headers = { Put: headersOf('Put'), Range: headersOf('Range') };
    socket.once('error', reject);
    socket.on('close', () => waiting?.(false));
    let consumed = 0;
    socket.on('data', (chunk) => {
      buffered = buffered.length === 0 ? chunk : Buffer.concat([buffered, chunk]);
      for (;;) {
        if (buffered.length < 9) return;
        const length = buffered.readUIntBE(0, 3);
        if (buffered.length < 9 + length) return;
        const type = buffered[3];
        const flags = buffered[4];
        const payload = buffered.subarray(9, 9 + length);
        buffered = buffered.subarray(9 + length);
        if (type === SETTINGS && (flags & ACK) === 0) socket.write(frame(SETTINGS, ACK, 0, Buffer.alloc(0)));
        else if (type === PING && (flags & ACK) === 0) socket.write(frame(PING, ACK, 0, payload));
        else if (type === DATA && length > 0) {
          answered = true;
          consumed += length;
          // The connection's window is widened at the start; it is filled up again long before it is used up.
          if (consumed > 0x20000000) {
            const more = Buffer.alloc(4);
            more.writeUInt32BE(consumed);
            socket.write(frame(WINDOW_UPDATE, 0, 0, more));
            consumed = 0;
          }
        }
        if ((type === HEADERS || type === DATA) && (flags & END_STREAM) !== 0) {
          const done = waiting;
          waiting = undefined;
          done?.(answered);
        }
      }
    });
    socket.once('connect', () => {
      const grow = Buffer.alloc(4);
      grow.writeUInt32BE(0x7fffffff - 65_535);
      socket.write(
        Buffer.concat([
          Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
          frame(SETTINGS, 0, 0, Buffer.alloc(0)),
          frame(WINDOW_UPDATE, 0, 0, grow),
        ]),
      );
      const call = (method, message) =>
        new Promise((answer) => {
          waiting = answer;
          answered = false;
          stream += 2;
          const prefix = Buffer.alloc(5);
          prefix.writeUInt32BE(message.length, 1);
          socket.write(
            Buffer.concat([
              frame(HEADERS, END_HEADERS, stream, headers[method]),
              frame(DATA, END_STREAM, stream, Buffer.concat([prefix, message])),
            ]),
          );
        });
      resolve({
        put: (key, value) => call('Put', Buffer.concat([field(1, Buffer.from(key)), field(2, value)])),
        // Linearizable, as etcd answers unless it is asked for something else.
        get: (key) => call('Range', field(1, Buffer.from(key))),
        close: () => socket.destroy(),
      });
    });
  });
}
