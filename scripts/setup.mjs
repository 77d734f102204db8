// Brings a checkout to the state where everything runs: dependencies installed, all packages built.
// It needs Node.js and npm and nothing else. When nothing has changed it does nothing, and quickly.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PNPM = 'pnpm@12.21.0';
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stampFile = join(root, 'node_modules', '.dw-setup');

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 11)) {
  console.error(`Node.js 20.11 or later is needed; this is ${process.versions.node}`);
  process.exit(1);
}

/** Runs one command in the checkout and ends this process with its status if it fails. */
function run(title, command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  if (result.error) {
    console.error(`setup: ${title} could not start: ${result.error.message}`);
    process.exit(1);
  }
  if (result.status !== 0) {
    console.error(`setup: ${title} failed (exit ${result.status ?? result.signal})`);
    process.exit(result.status ?? 1);
  }
}

const wanted = createHash('sha256')
  .update(readFileSync(join(root, 'pnpm-lock.yaml')))
  .update(process.versions.node)
  .update(PNPM)
  .digest('hex');
const present = existsSync(stampFile) ? readFileSync(stampFile, 'utf8') : '';
if (present !== wanted) {
  run('installing dependencies', 'npx', ['--yes', '--', PNPM, 'install', '--frozen-lockfile']);
  writeFileSync(stampFile, wanted);
}
run('building', process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-b']);
