// The process that the storage's crash matrix kills. It tells on its standard output what was acknowledged, line by
// line, before it goes on: what stands there must be on disk.
//   done N       the first N steps of the script were acknowledged
//   failed CODE ERRNO  a step failed; everything after it failed for good as well, and reads went on

import { writeSync } from 'node:fs';
import { FileNodeStorage, type GroupStorage } from '../../packages/plugin-consensus/src/storage/index.js';
import { TEST_CONF } from '../../packages/plugin-consensus/src/storage/testing/storage-model.js';
import { GROUPS, SCRIPT, STORAGE_OPTIONS, runStep } from './crash-script.js';

// Plain write calls, which go straight to the pipe; files are written with calls that name an offset.
const tell = (line: string): void => void writeSync(1, `${line}\n`);

const errnoOf = (error: unknown): string => (error as { details?: { errno?: string } }).details?.errno ?? '';

/** A storage that failed gives back what it has: each group that is still there is read from end to end. */
function readOn(storage: FileNodeStorage, groups: readonly GroupStorage[]): void {
  for (const group of groups) {
    if (!storage.groupIds.includes(group.groupId)) continue;
    const [from, to] = [group.firstIndex(), group.lastIndex() + 1];
    const entries = from < to ? group.entries(from, to, Infinity) : [];
    if (entries.length !== to - from)
      throw new Error(`${group.groupId}: ${entries.length} of ${to - from} entries`);
  }
}

const codeOf = (error: unknown): string => String((error as { code?: unknown }).code);

async function run(directory: string): Promise<void> {
  const storage = await FileNodeStorage.open({ ...STORAGE_OPTIONS, directory });
  const groups: GroupStorage[] = [];
  try {
    for (const groupId of GROUPS) groups.push(await storage.openGroup(groupId, TEST_CONF));
    tell('done 0');
    for (const [at, step] of SCRIPT.entries()) {
      await runStep(storage, step);
      tell(`done ${at + 1}`);
    }
  } catch (error) {
    // A snapshot that cannot be written harms nobody; a journal, segment or checkpoint that cannot is the end.
    if (codeOf(error) !== 'raft-snapshot-not-written') {
      const later: unknown = await storage.write([...noChange()]).catch((thrown: unknown) => thrown);
      if (codeOf(later) !== 'storage-failed')
        throw new Error(`not final: ${String(later)}`, { cause: error });
      readOn(storage, groups);
    }
    tell(`failed ${codeOf(error)} ${errnoOf(error)}`);
  }
  await storage.close();
}

function noChange(): { groupId: string; hardState: undefined; entries: never[]; snapshot: undefined }[] {
  return [{ groupId: 'a', hardState: undefined, entries: [], snapshot: undefined }];
}

try {
  await run(process.argv[2] as string);
} catch (error) {
  // A disk that fails while the storage is opened or closed is allowed to show as it is.
  const code = codeOf(error);
  if (!['storage-failed', 'log-failed', 'EIO', 'ENOSPC'].includes(code)) throw error;
  tell(`failed ${code} ${errnoOf(error)}`);
}
