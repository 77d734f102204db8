// Channel names and the numbers that stand for them on one connection. Each side numbers the channels it sends on and
// says so in a `bind` frame before the first use; the table is bounded, since the other side could be hostile.

import { channelInvalid, channelLimit } from '../errors.js';

/** Channels that one connection can carry in one direction. */
export const MAX_CHANNELS = 1_024;
/** Bytes of a channel name. */
export const MAX_CHANNEL_NAME = 64;
const NAME = /^[A-Za-z0-9._:/-]{1,64}$/;

/** @throws DwError `channel-invalid`. */
export function assertChannelName(name: string): void {
  if (!NAME.test(name)) throw channelInvalid(name);
}

/** The numbers of the channels that this side sends on. */
export class OutgoingChannels {
  private readonly numbers = new Map<string, number>();

  /** The number of a channel that was bound before, or undefined. */
  numberOf(name: string): number | undefined {
    return this.numbers.get(name);
  }

  /** Gives a channel the next number. @throws DwError `channel-invalid`, `channel-limit`. */
  bind(name: string): number {
    assertChannelName(name);
    const number = this.numbers.size + 1;
    if (number > MAX_CHANNELS) throw channelLimit(MAX_CHANNELS);
    this.numbers.set(name, number);
    return number;
  }
}

/** The names of the channels that the other side sends on. */
export class IncomingChannels {
  private readonly names: string[] = [];

  /** The name that was bound to a number, or undefined. */
  nameOf(number: number): string | undefined {
    return this.names[number - 1];
  }

  /** Takes a `bind` frame. @returns false when it breaks the rules: numbers count up by one, names are valid. */
  bind(number: number, payload: Buffer): boolean {
    if (number !== this.names.length + 1 || number > MAX_CHANNELS) return false;
    if (payload.length > MAX_CHANNEL_NAME) return false;
    const name = payload.toString('latin1');
    if (!NAME.test(name)) return false;
    this.names.push(name);
    return true;
  }
}
