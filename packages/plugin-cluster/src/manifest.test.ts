import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { plugin } from './index.js';
import { TRANSPORT_LIMITS } from './limits.js';

interface Manifest {
  readonly version: string;
  readonly datawarehouse: Readonly<Record<string, unknown>>;
}

const { version, datawarehouse: manifest } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as Manifest;

describe('the manifest', () => {
  it('has the limits of the code', () => {
    expect(manifest['limits']).toEqual(TRANSPORT_LIMITS);
  });

  it('has the id and version of the plugin', () => {
    const instance = new plugin();
    expect({ id: instance.id, version: instance.version }).toEqual({ id: manifest['id'], version });
  });
});
