// Waits for a step of a plugin under test, in real time, so that a step which hangs fails the test and says where.

/** The outcome of a step: `done`, or `late` when it did not settle in time. */
export type StepOutcome = 'done' | 'late';

/** Waits for `step` for at most `timeoutMs` of real time. @throws what the step throws. */
export async function boundedWait(step: () => unknown, timeoutMs: number): Promise<StepOutcome> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<StepOutcome>((resolve) => {
    timer = setTimeout(() => resolve('late'), timeoutMs);
  });
  try {
    return await Promise.race([Promise.resolve(step()).then((): StepOutcome => 'done'), late]);
  } finally {
    clearTimeout(timer);
  }
}
