// A scripted run over a log and a store, to be killed at any moment. It tells on its standard output what was
// acknowledged, line by line, before it goes on: what stands there must be on disk.
//   log N        all records below position N were acknowledged
//   dropping N   records below N were given up (told before the call)
//   store N      the first N operations of the script were acknowledged
//   failed CODE  the first failure; everything after it failed as well, with the code of a final failure
import { writeSync } from 'node:fs';

// Only what is needed: this starts hundreds of times, and all of the SDK takes longer to load than the script to run.
import { FileAppendLog } from '../../packages/sdk/dist/persistence/log/file-append-log.js';
import { FileBackingStore } from '../../packages/sdk/dist/persistence/store/file-backing-store.js';

import { LOG_OPTIONS, LOG_SCRIPT, recordAt, STORE_OPTIONS, STORE_SCRIPT } from './crash-script.mjs';

// Plain write calls, which go straight to the pipe; files are written with calls that name an offset.
const tell = (line) => writeSync(1, `${line}\n`);

/** Tells of a failure, once everything that is asked after it has failed for good as well. */
async function tellFailure(failure, code, later) {
  const outcomes = await Promise.allSettled(later);
  for (const { reason } of outcomes) {
    if (reason?.code !== code) throw new Error(`not ${code} but ${String(reason)}`, { cause: failure });
  }
  tell(`failed ${failure.code}`);
}

async function runLog(directory) {
  const log = await FileAppendLog.open({ ...LOG_OPTIONS, directory });
  for (const step of LOG_SCRIPT) {
    try {
      if (step.drop !== undefined) {
        tell(`dropping ${step.drop}`);
        await log.dropBefore(step.drop);
      } else {
        const first = log.nextPosition;
        const appends = Array.from({ length: step.append }, (_, i) => log.append(recordAt(first + i)));
        await Promise.all(appends);
        tell(`log ${log.durablePosition}`);
      }
    } catch (error) {
      await tellFailure(error, 'log-failed', [log.append(Buffer.from('x')), log.barrier(), log.read(1)]);
      break;
    }
  }
  await log.close();
}

async function runStore(directory) {
  const store = await FileBackingStore.open({ ...STORE_OPTIONS, directory });
  for (const [index, operation] of STORE_SCRIPT.entries()) {
    try {
      await operation.run(store);
      tell(`store ${index + 1}`);
    } catch (error) {
      const later = [store.writeAsync('dw://x', Buffer.from('x')), store.readAsync('dw://x')];
      await tellFailure(error, 'store-failed', later);
      break;
    }
  }
  await store.closeAsync();
}

const [, , part, directory] = process.argv;
try {
  if (part === 'log') await runLog(directory);
  else await runStore(directory);
} catch (error) {
  // A disk that fails while a log is opened or closed is allowed to show as it is.
  if (error.syscall === undefined && error.code !== 'log-failed') throw error;
  tell(`failed ${error.code}`);
}
