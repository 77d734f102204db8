// What the machine alone does to timers: a process of its own that does nothing but wait a millisecond again and again.
// Where its timers are late in the same windows as a measurement, it is the processors that were taken, not a disk or lock.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const WAIT_MS = 1;

/** Starts the process. `window` resolves with what `work` resolved with, and the lateness in ms of each timer meanwhile. */
export async function startTimerProbe() {
  const child = fork(fileURLToPath(import.meta.url), []);
  await once(child, 'message');
  const ask = (order) => {
    const answer = once(child, 'message');
    child.send(order);
    return answer.then(([message]) => message);
  };
  return {
    window: async (work) => {
      await ask('begin');
      const value = await work();
      return { value, late: await ask('end') };
    },
    stop: () => child.kill('SIGKILL'),
  };
}

function run() {
  let late = [];
  let due = performance.now() + WAIT_MS;
  const tick = () => {
    late.push(performance.now() - due);
    due = performance.now() + WAIT_MS;
    setTimeout(tick, WAIT_MS);
  };
  process.on('message', (order) => {
    const found = late;
    late = [];
    process.send(order === 'end' ? found : 'begun');
  });
  process.on('disconnect', () => process.exit(0));
  setTimeout(tick, WAIT_MS);
  process.send('ready');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) run();
