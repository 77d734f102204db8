// The files of a new plugin. Kept as text, apart from the code that writes them, so that the template reads as what it
// becomes.

/** What the template is filled in with. */
export interface PluginTemplateValues {
  readonly name: string;
  readonly id: string;
  /** Version specifier of the SDK. */
  readonly sdk: string;
}

function className(name: string): string {
  return name.replace(/(?:^|-)([a-z0-9])/g, (_all, letter: string) => letter.toUpperCase());
}

function packageJson({ name, id, sdk }: PluginTemplateValues): string {
  const content = {
    name,
    version: '1.0.0',
    private: true,
    type: 'module',
    files: ['dist'],
    scripts: { build: 'tsc -p tsconfig.json', test: 'vitest run' },
    dependencies: { '@datawarehouse/sdk': sdk },
    devDependencies: { '@types/node': '^20.19.43', typescript: '^7.0.2', vitest: '^4.1.12' },
    datawarehouse: {
      id,
      sdk: '^1.0.0',
      entry: './dist/index.js',
      topics: { subscribe: [`${name}.add`] },
    },
  };
  return `${JSON.stringify(content, null, 2)}\n`;
}

const TSCONFIG = `${JSON.stringify(
  {
    compilerOptions: {
      target: 'ES2023',
      lib: ['ES2023', 'ESNext.Disposable'],
      module: 'NodeNext',
      types: ['node'],
      strict: true,
      experimentalDecorators: true,
      skipLibCheck: true,
      declaration: true,
      rootDir: 'src',
      outDir: 'dist',
    },
    include: ['src'],
    exclude: ['src/**/*.test.ts'],
  },
  null,
  2,
)}\n`;

function source({ name, id }: PluginTemplateValues): string {
  return `// Adds up what it is told on a topic, keeps the sum, and shows it over HTTP.

import { PluginBase, SdkCompatibility, Type, defineTopic } from '@datawarehouse/sdk';
import type { PluginContext } from '@datawarehouse/sdk';

/** Adds an amount to the sum. */
export const Add = defineTopic({
  name: '${name}.add',
  description: 'Adds an amount to the sum',
  payload: Type.Object({ amount: Type.Number() }),
});

@SdkCompatibility('1.0.0')
export class ${className(name)} extends PluginBase {
  readonly id = '${id}';
  readonly name = '${name}';
  readonly version = '1.0.0';
  private sum = 0;

  override async initializeAsync(context: PluginContext): Promise<void> {
    const path = context.storePath('sum');
    const kept = await context.store.readAsync(path);
    if (kept !== null) this.sum = Number(new TextDecoder().decode(kept));

    context.bus.subscribe(Add, async ({ payload }) => {
      const sum = this.sum + payload.amount;
      await context.store.writeAsync(path, new TextEncoder().encode(String(sum)));
      this.sum = sum;
    });

    context.routes.add({
      method: 'GET',
      path: '/v1/${name}',
      summary: 'The sum so far',
      handler: () => ({ body: { sum: this.sum } }),
    });
  }
}
`;
}

function test({ name }: PluginTemplateValues): string {
  return `import { createTestHost } from '@datawarehouse/sdk/testing';
import { expect, it } from 'vitest';
import { Add, ${className(name)} } from './plugin.js';

it('adds up what it is told', async () => {
  const host = await createTestHost(${className(name)});
  await host.bus.publishAndWait(Add, { amount: 2 });
  await host.bus.publishAndWait(Add, { amount: 3 });
  expect((await host.request('GET', '/v1/${name}')).body).toEqual({ sum: 5 });
  await host.stop();
  host.assertNoLeaks();
});
`;
}

function readme({ name }: PluginTemplateValues): string {
  return `# ${name}

A plugin for the DataWarehouse host.

    npm install
    npm run build
    npm test

To load it, add it to \`plugins\` in a node's configuration: \`{ "package": "<path of this folder>" }\`.
Then \`dw bus publish ${name}.add '{"amount":2}'\`, and \`GET /v1/${name}\` shows the sum.
`;
}

/** The files of a new plugin: path and text. */
export function pluginTemplate(values: PluginTemplateValues): readonly (readonly [string, string])[] {
  return [
    ['package.json', packageJson(values)],
    ['tsconfig.json', TSCONFIG],
    ['README.md', readme(values)],
    ['.gitignore', 'node_modules/\ndist/\n'],
    ['src/index.ts', `export { ${className(values.name)} as plugin } from './plugin.js';\n`],
    ['src/plugin.ts', source(values)],
    ['src/plugin.test.ts', test(values)],
  ];
}
