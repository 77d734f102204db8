import { describe, expect, it } from 'vitest';
import { createLogger } from './create-logger.js';

function capture(level = 'info') {
  const lines: Record<string, unknown>[] = [];
  const destination = {
    write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>),
  };
  return { lines, log: createLogger({ nodeId: 'n1', level, destination }) };
}

describe('createLogger', () => {
  it('writes one JSON line an event, with the node and the fields of its parents', () => {
    const { lines, log } = capture();
    log.child({ plugin: 'p' }).warn({ group: 'g1' }, 'leader lost');
    log.info('plain');
    expect(lines).toMatchObject([
      { level: 'warn', node: 'n1', plugin: 'p', group: 'g1', msg: 'leader lost' },
      { level: 'info', node: 'n1', msg: 'plain' },
    ]);
  });

  it('writes nothing below its level', () => {
    const { lines, log } = capture('warn');
    log.info('quiet');
    log.debug('quiet');
    expect(lines).toEqual([]);
  });

  it('writes errors with their cause', () => {
    const { lines, log } = capture();
    log.error({ error: new Error('outer', { cause: new Error('inner') }) }, 'failed');
    expect(JSON.stringify(lines[0])).toContain('outer');
    expect(JSON.stringify(lines[0])).toContain('inner');
  });

  it('gives no secret away, wherever it stands', () => {
    const { lines, log } = capture();
    log.info(
      { token: 's3cret', http: { token: 's3cret' }, request: { headers: { authorization: 's3cret' } } },
      'x',
    );
    log.child({ token: 's3cret' }).info('y');
    expect(JSON.stringify(lines)).not.toContain('s3cret');
  });

  it('takes text for text and not for a format', () => {
    const { lines, log } = capture();
    log.info({ a: 1 }, '%s %d');
    log.info('%s');
    expect(lines.map(({ msg }) => msg)).toEqual(['%s %d', '%s']);
  });
});
