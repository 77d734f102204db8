// What the machine does without any of our code: a bare write and fdatasync, and a bare echo over loopback. It stands
// beside every figure that depends on either, taken in the same run.
import { fork } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { fdatasync, write } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const script = fileURLToPath(import.meta.url);
const writeAsync = promisify(write);
const fdatasyncAsync = promisify(fdatasync);

/** Appends of 4 KiB with an fdatasync each, a second. */
export async function syncsPerSecond(ms = 1_000) {
  const directory = mkdtempSync(join(tmpdir(), 'dw-probe-'));
  const file = openSync(join(directory, 'log'), 'w');
  const block = Buffer.alloc(4_096, 'x');
  try {
    const began = performance.now();
    let count = 0;
    while (performance.now() - began < ms) {
      await writeAsync(file, block, 0, block.length, count * block.length);
      await fdatasyncAsync(file);
      count++;
    }
    return count / ((performance.now() - began) / 1_000);
  } finally {
    closeSync(file);
    rmSync(directory, { recursive: true });
  }
}

if (process.argv[1] === script && process.send !== undefined) {
  const server = createServer({ noDelay: true }, (socket) => socket.pipe(socket));
  server.listen(0, '127.0.0.1', () => process.send(server.address().port));
  process.on('disconnect', () => process.exit(0));
}

/** Round trips of 256 bytes over one connection a second, with so many under way. */
export async function echoesPerSecond(depth, ms = 1_000) {
  const child = fork(script, { stdio: 'inherit' });
  const port = await new Promise((resolve) => child.once('message', resolve));
  const message = Buffer.alloc(256, 'x');
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await new Promise((resolve) => socket.once('connect', resolve));
  const began = performance.now();
  let bytes = 0;
  let answered = 0;
  await new Promise((resolve) => {
    socket.on('data', (chunk) => {
      bytes += chunk.length;
      const done = Math.floor(bytes / message.length) - answered;
      answered += done;
      if (performance.now() - began >= ms) resolve();
      else if (done > 0) socket.write(Buffer.concat(Array.from({ length: done }, () => message)));
    });
    socket.write(Buffer.concat(Array.from({ length: depth }, () => message)));
  });
  const took = performance.now() - began;
  socket.destroy();
  child.disconnect();
  return answered / (took / 1_000);
}
