// Runs everything that decides whether a change may land and ends with one line: N passed, N failed, N skipped.
// `--quick` leaves out the system tests: format, lint, types, boundaries and unit tests.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = (name) => join(root, 'node_modules', '.bin', name);
const quick = process.argv.includes('--quick');
const scratch = mkdtempSync(join(tmpdir(), 'dw-test-'));
const totals = { passed: 0, failed: 0, skipped: 0 };

/** Runs a command with its output on the terminal and resolves with its exit status. */
function run(command, args, env = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, ...env },
    });
    child.on('error', (error) => {
      console.error(`${command}: ${error.message}`);
      resolve(1);
    });
    child.on('close', (code) => resolve(code ?? 1));
  });
}

/** A step that passes or fails as a whole. */
async function step(title, command, args) {
  const began = performance.now();
  const status = await run(command, args);
  totals[status === 0 ? 'passed' : 'failed'] += 1;
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(`${status === 0 ? 'ok  ' : 'FAIL'} ${title} (${seconds} s)`);
}

/** A vitest project; its tests are counted one by one. */
async function tests(project) {
  const report = join(scratch, `${project}.json`);
  const status = await run(
    bin('vitest'),
    ['run', '--project', project, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`],
    { NODE_ENV: 'test' },
  );
  let counted;
  try {
    counted = JSON.parse(readFileSync(report, 'utf8'));
  } catch (error) {
    console.error(`no report of the ${project} tests: ${error.message}`);
    totals.failed += 1;
    return;
  }
  totals.passed += counted.numPassedTests;
  totals.failed += counted.numFailedTests;
  totals.skipped += counted.numPendingTests + counted.numTodoTests;
  // A suite that could not be loaded, or an unhandled error, fails no single test but fails the run.
  if (status !== 0 && counted.numFailedTests === 0) totals.failed += 1;
}

await step('format', bin('oxfmt'), ['--check', '.']);
await step('lint', bin('oxlint'), ['--type-aware', '.']);
await step('types', bin('tsc'), ['-b']);
await step('boundaries', process.execPath, ['scripts/check-boundaries.mjs']);
await step('doc comments', process.execPath, ['scripts/check-docs.mjs']);
await step('plugin catalog', process.execPath, ['scripts/plugin-catalog.mjs', '--check']);
await tests('unit');
if (!quick) await tests('system');

rmSync(scratch, { recursive: true, force: true });
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
process.exitCode = totals.failed === 0 ? 0 : 1;
