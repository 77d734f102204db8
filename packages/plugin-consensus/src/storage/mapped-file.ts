// Maps sealed files into memory, through the optional dependency koffi. Where it does not load (another platform, not
// installed) there is no mapper and files are read by position instead.
//
// Three things kill a process that maps files: reading past the end of a file that was cut, writing into a read-only
// map, and reading what was unmapped. So: only sealed files are mapped, which nobody cuts (a removed file stays whole
// until it is unmapped); a view never leaves this folder, its bytes are copied out; and unmapping is left to the
// garbage collector, which knows that no view is left.
//
// A fourth cannot be ruled out: a mapped page that the disk cannot read any more ends the process, where a read by position
// gives an error and makes one group damaged. Mapped are the newest segments, which mostly are in memory; who would
// rather be slower than take this risk sets the limit `hotSegments` to 0.

import { createRequire } from 'node:module';

/** Maps the first `length` bytes of an open file, read-only; undefined when the system refuses. */
export type FileMapper = (descriptor: number, length: number) => Buffer | undefined;

const PROT_READ = 1;
const MAP_SHARED = 1;
const MAP_FAILED = BigInt.asUintN(64, -1n);
/** By platform; others read by position. */
const LIBC: Readonly<Record<string, string>> = { linux: 'libc.so.6', darwin: 'libSystem.B.dylib' };

let loaded: { readonly mapper: FileMapper | undefined } | undefined;

/** The mapper of this process; undefined where there can be none. Loads koffi at the first call. */
export function fileMapper(): FileMapper | undefined {
  loaded ??= { mapper: loadMapper() };
  return loaded.mapper;
}

function loadMapper(): FileMapper | undefined {
  const library = LIBC[process.platform];
  if (library === undefined) return undefined;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    const libc = koffi.load(library);
    const mmap = libc.func(
      'void *mmap(void *address, size_t length, int protection, int flags, int descriptor, int64_t offset)',
    );
    const munmap = libc.func('int munmap(void *address, size_t length)');
    const unmapLater = new FinalizationRegistry<{ address: unknown; length: number }>((held) => {
      munmap(held.address, held.length);
    });
    return (descriptor, length) => {
      if (length === 0) return undefined;
      const address: unknown = mmap(null, length, PROT_READ, MAP_SHARED, descriptor, 0);
      if (address === null || koffi.address(address) === MAP_FAILED) return undefined;
      const memory = koffi.view(address, length);
      unmapLater.register(memory, { address, length });
      return Buffer.from(memory);
    };
  } catch {
    // Optional: not installed, or without a binary for this platform. Reads go by position, with the same results.
    return undefined;
  }
}
