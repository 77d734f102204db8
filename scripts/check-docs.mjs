// Every exported name has a doc comment. Two kinds of files are left out: `errors.ts`, where each function's name and
// message say the same, and templates, whose text is another package's code.
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const EXPORT =
  /^export (?:declare )?(?:abstract )?(?:async )?(?:class|interface|type|function\*?|const|let)\s+([A-Za-z0-9_$]+)/;
const LEFT_OUT = /^errors\.ts$|-template\.ts$|\.test\.ts$|\.test\.kit\.ts$/;
const missing = [];

function* sources(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* sources(path);
    else if (entry.name.endsWith('.ts') && !LEFT_OUT.test(entry.name)) yield path;
  }
}

for (const name of readdirSync(join(root, 'packages'))) {
  for (const path of sources(join(root, 'packages', name, 'src'))) {
    const lines = readFileSync(path, 'utf8').split('\n');
    const documented = new Set();
    lines.forEach((line, at) => {
      const found = EXPORT.exec(line);
      if (found === null || documented.has(found[1])) return;
      let above = at - 1;
      while (above >= 0 && /^\s*@/.test(lines[above])) above -= 1; // decorators stand between comment and class
      if (above >= 0 && lines[above].trimEnd().endsWith('*/')) documented.add(found[1]);
      else missing.push(`${relative(root, path)}:${at + 1} ${found[1]}`);
    });
  }
}

for (const place of missing) console.error(`no doc comment: ${place}`);
process.exitCode = missing.length === 0 ? 0 : 1;
