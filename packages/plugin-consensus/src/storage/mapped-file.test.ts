// Given a file, when it is mapped, then its bytes are there, also when the file is closed and removed meanwhile.

import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { fileMapper } from './mapped-file.js';

it('shows the bytes of the file, and outlives its descriptor and its name', () => {
  const directory = mkdtempSync(join(tmpdir(), 'dw-map-'));
  try {
    const path = join(directory, 'file');
    const bytes = Buffer.from(Array.from({ length: 10_000 }, (_, at) => at % 251));
    writeFileSync(path, bytes);
    const descriptor = openSync(path, 'r');
    const mapped = fileMapper()?.(descriptor, bytes.length);
    closeSync(descriptor);
    rmSync(path);
    expect(mapped?.equals(bytes)).toBe(true);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

it('refuses what cannot be mapped, without harm', () => {
  expect(fileMapper()?.(9_999, 100)).toBeUndefined();
  expect(fileMapper()?.(0, 0)).toBeUndefined();
});
