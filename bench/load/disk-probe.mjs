// What the disk alone does to small durable writes while a file is written beside them at a steady rate, without any of
// our code: a loop of 4 KiB appends with an fdatasync each, in windows with and without the other file in turn.
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const BLOCK = 256 * 1_024;
const SYNC_EVERY = 8 * 1_024 * 1_024;
const PAUSE_MS = 1;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function copy(path, bytesPerSecond, ms) {
  const file = await open(path, 'w');
  const block = Buffer.alloc(BLOCK, 'y');
  const began = performance.now();
  let written = 0;
  try {
    while (performance.now() - began < ms) {
      await file.write(block, 0, BLOCK, written);
      written += BLOCK;
      if (written % SYNC_EVERY === 0) await file.datasync();
      const early = (1_000 * written) / bytesPerSecond - (performance.now() - began);
      if (early > 0) await sleep(early);
    }
  } finally {
    await file.close();
    await rm(path);
  }
}

/** Latencies in ms of each window, `alone` and `beside` a copy. There is one window more without than with. */
export async function syncsBesideCopy({ bytesPerSecond, rounds, windowMs }) {
  const directory = await mkdtemp(join(tmpdir(), 'dw-probe-'));
  const log = await open(join(directory, 'log'), 'w');
  const found = { alone: [], beside: [] };
  let sample;
  let stopping = false;
  const loop = async () => {
    const block = Buffer.alloc(4_096, 'x');
    for (let at = 0; !stopping; at += block.length) {
      const into = sample;
      const began = performance.now();
      await log.write(block, 0, block.length, at);
      await log.datasync();
      into?.push(performance.now() - began);
      await sleep(PAUSE_MS);
    }
  };
  const window = async (name, work) => {
    sample = [];
    found[name].push(sample);
    await work();
    sample = undefined;
  };
  const looping = loop();
  try {
    for (let n = 0; n < rounds; n++) {
      await window('alone', () => sleep(windowMs));
      await window('beside', () => copy(join(directory, 'copy'), bytesPerSecond, windowMs));
    }
    await window('alone', () => sleep(windowMs));
    return found;
  } finally {
    stopping = true;
    await looping;
    await log.close();
    await rm(directory, { recursive: true, force: true });
  }
}
