// The bytes of a directory: whole or refused, and those of the moment they were asked for.

import { crc32 } from '@datawarehouse/sdk';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeDirectory, encodeDirectory } from './directory-codec.js';
import { EMPTY_DIRECTORY } from './directory-types.js';
import { TestDirectory, addressesOf, createOf } from './directory.test.kit.js';

function bytesOf(directory: TestDirectory): Buffer {
  return Buffer.concat([...encodeDirectory(directory.state.view)]);
}

function made(nodes = 3): TestDirectory {
  const directory = new TestDirectory();
  directory.tell(createOf(nodes));
  return directory;
}

describe('a directory as bytes', () => {
  it('comes back as it was', () => {
    const directory = made(40);
    directory.tell({ op: 'retire', id: 'n40' });
    expect(decodeDirectory(bytesOf(directory))).toEqual(directory.state.view);
    expect(decodeDirectory(Buffer.concat([...encodeDirectory(EMPTY_DIRECTORY)]))).toEqual(EMPTY_DIRECTORY);
  });

  it('is that of the call, whatever changes while it is pulled', () => {
    const directory = made(1_000);
    const before = bytesOf(directory);
    const chunks = directory.state.snapshot()[Symbol.iterator]();
    const first = chunks.next().value as Uint8Array;
    directory.tell({ op: 'retire', id: 'n999' });
    const rest = [];
    for (let next = chunks.next(); next.done !== true; next = chunks.next()) rest.push(next.value);
    expect(rest.length).toBeGreaterThan(1);
    expect(Buffer.concat([first, ...rest]).equals(before)).toBe(true);
  });

  it('is refused when any byte is lost or changed', () => {
    const bytes = bytesOf(made());
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ flip;
        // White space may change without a meaning at the very end; everything else is covered by the checksum.
        if (at < bytes.lastIndexOf('{"end"')) expect(() => decodeDirectory(changed)).toThrow(/malformed/);
        expect(() => decodeDirectory(bytes.subarray(0, at))).toThrow(/malformed/);
      }),
    );
  });

  it.each([
    ['an id twice', (line: string) => line + line],
    ['an id with a path', (line: string) => line.replace('"n1"', '"../n1"')],
    ['an unknown state', (line: string) => line.replace('member', 'king')],
    ['a part too long', (line: string) => line.replace('"n1"', JSON.stringify('n'.repeat(20_000)))],
    ['no JSON', () => '{\n'],
  ])('is refused with %s, though its checksum is right', (_what, change) => {
    const lines = bytesOf(made()).toString().split('\n').slice(0, -2);
    const body = [
      `${lines[0]}\n`,
      change(`${lines[1]}\n`),
      ...lines.slice(2).map((line) => `${line}\n`),
    ].join('');
    const nodes = body.split('"node"').length - 1;
    const end = JSON.stringify({ end: { nodes, groups: 1, retired: 0 }, crc: crc32(Buffer.from(body)) });
    expect(() => decodeDirectory(Buffer.from(`${body}${end}\n`))).toThrow(
      expect.objectContaining({ code: 'frame-malformed' }),
    );
  });

  it('holds the addresses of its nodes', () => {
    expect(decodeDirectory(bytesOf(made())).nodes[2]).toMatchObject(addressesOf(3));
  });
});
