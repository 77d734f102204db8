import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { parseEvents } from './server-sent-events.js';

async function parse(text: string, cuts: readonly number[]): Promise<unknown[]> {
  const bytes = Buffer.from(text);
  const edges = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (let i = 1; i < edges.length; i++) yield bytes.subarray(edges[i - 1], edges[i]);
  }
  const events: unknown[] = [];
  for await (const event of parseEvents(chunks())) events.push(event);
  return events;
}

describe('parseEvents', () => {
  it('reads the same events however the bytes are cut', async () => {
    const text =
      ': hello\n\nevent: a.b\nid: 1\ndata: {"text":"ü: x"}\n\n: ping\n\nevent: c\r\ndata: 2\r\n\r\ndata: cut off';
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(), { maxLength: 10 }), async (cuts) => {
        expect(await parse(text, cuts)).toEqual([
          { event: 'a.b', data: '{"text":"ü: x"}' },
          { event: 'c', data: '2' },
        ]);
      }),
    );
  });

  it('refuses an event without end', async () => {
    await expect(parse(`data: ${'x'.repeat(17 * 1024 * 1024)}`, [])).rejects.toThrow('16 Mi characters');
  });
});
