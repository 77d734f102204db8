// Reads server-sent events from a byte stream.

import { DwError } from '@datawarehouse/sdk';

/** One event. */
export interface ServerSentEvent {
  readonly event: string;
  readonly data: string;
}

/** A host sends no message larger than this; a stranger on the port must not fill the memory. */
const MAX_EVENT_CHARACTERS = 16 * 1024 * 1024;

function parseBlock(block: string): ServerSentEvent | undefined {
  let event = 'message';
  const data: string[] = [];
  for (const line of block.split(/\r?\n/)) {
    const colon = line.indexOf(':');
    // A line that begins with a colon is a comment; it keeps the connection alive.
    if (colon < 1) continue;
    const field = line.slice(0, colon);
    const value = line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') event = value;
    else if (field === 'data') data.push(value);
  }
  return data.length === 0 ? undefined : { event, data: data.join('\n') };
}

/** The events of a stream, in order. @throws DwError `answer-invalid` when one is larger than 16 Mi characters. */
export async function* parseEvents(stream: AsyncIterable<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder();
  let buffer = '';
  for await (const chunk of stream) {
    buffer += decoder.decode(chunk, { stream: true });
    for (;;) {
      const end = /\r?\n\r?\n/.exec(buffer);
      if (end === null) break;
      const event = parseBlock(buffer.slice(0, end.index));
      buffer = buffer.slice(end.index + end[0].length);
      if (event !== undefined) yield event;
    }
    if (buffer.length > MAX_EVENT_CHARACTERS) {
      throw new DwError({ code: 'answer-invalid', message: 'an event is larger than 16 Mi characters' });
    }
  }
}
