// Entry of the `dw` command; bin/dw.js imports it.

import { run } from './run.js';

// `dw … | head -1`: the reader has what it wanted, and that is the end of it.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') process.exitCode = 1;
  });
}

process.exitCode = await run(process.argv.slice(2));
