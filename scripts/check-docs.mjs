// Every name that a file of the SDK exports has a doc comment; so do the host's and the plugins' exported names.
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const EXPORT =
  /^export (?:declare )?(?:abstract )?(?:async )?(?:class|interface|type|function\*?|const|let)\s+([A-Za-z0-9_$]+)/;
const missing = [];

function* sources(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* sources(path);
    else if (entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts')) yield path;
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
