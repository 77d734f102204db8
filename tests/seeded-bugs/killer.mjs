// One process that runs vitest again and again in a copy of the project: it keeps what vitest has already transformed,
// which is most of the time that a run of its own takes. It takes one request at a time over the channel to its parent,
// `{changed, args}`: the file that changed since the last run, from the root, and the tests to run, as one would give
// them to vitest. It answers `{ran, failed, errors}`, or `{error}`.
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { createVitest } from 'vitest/node';

const vitest = await createVitest('test', { watch: false, bail: 1, reporters: [{}] });
/** The file that was changed the last time, and is as it was by now. */
let mended = process.cwd();
const usual = new Map(vitest.projects.map((project) => [project, project.config.testTimeout]));

/** @param {{changed: string, args: readonly string[]}} request */
async function run({ changed, args }) {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      project: { type: 'string' },
      testNamePattern: { type: 'string', short: 't' },
      testTimeout: { type: 'string' },
    },
  });
  vitest.invalidateFile(mended);
  mended = resolve(changed);
  vitest.invalidateFile(mended);
  for (const [project, timeout] of usual) project.config.testTimeout = Number(values.testTimeout ?? timeout);
  if (values.testNamePattern === undefined) vitest.resetGlobalTestNamePattern();
  else vitest.setGlobalTestNamePattern(values.testNamePattern);

  const found = await vitest.globTestSpecifications(positionals);
  const specifications = found.filter(({ project }) => project.name === values.project);
  const { unhandledErrors } = await vitest.runTestSpecifications(specifications);
  const modules = specifications.flatMap(({ testModule }) => (testModule === undefined ? [] : [testModule]));
  const states = modules.flatMap(({ children }) =>
    [...children.allTests()].map((test) => test.result().state),
  );
  return {
    ran: states.filter((state) => state === 'passed' || state === 'failed').length,
    failed: states.filter((state) => state === 'failed').length,
    errors: [...unhandledErrors, ...modules.flatMap((module) => module.errors())].map(textOf),
  };
}

/** @param {unknown} error */
function textOf(error) {
  return String(error?.stack ?? error);
}

process.on('message', (request) => {
  run(request).then(
    (outcome) => process.send?.(outcome),
    (error) => process.send?.({ error: textOf(error) }),
  );
});
process.on('disconnect', () => process.exit());
