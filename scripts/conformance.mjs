// Runs data-driven Raft files against the core: npm run conformance -- DIR. What it does stands in
// tests/raft/conformance/main.ts; this finds the compiled code and the surroundings.
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { main } from '../tests/dist/raft/conformance/main.js';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
process.exitCode = await main(process.argv.slice(2), {
  // npm runs scripts in the project; what the user names is meant from where the user is.
  cwd: process.env['INIT_CWD'] ?? process.cwd(),
  env: process.env,
  root,
  print: (line) => console.log(line),
  printError: (line) => console.error(line),
});
