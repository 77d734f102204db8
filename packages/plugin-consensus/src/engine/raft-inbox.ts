// Takes in the frames of Raft messages that peers send. A frame that follows no format is refused, counted, and logged a
// bounded number of times; it never reaches a core.

import type { Logger } from '@datawarehouse/sdk';
import { isDwError } from '@datawarehouse/sdk';
import type { Message } from '../raft/types.js';
import { decodeFrame } from './message-codec.js';

const MAX_LOGGED_REFUSALS = 10;

/** Decodes what peers send. */
export class RaftInbox {
  /** Frames that were refused as malformed. */
  malformedFrames = 0;

  constructor(
    private readonly nodeId: string,
    private readonly log: Logger,
    private readonly step: (groupId: string, message: Message) => void,
  ) {}

  /** Steps all messages of a frame, which is lent for this call. @returns whether they were heartbeats, all of them. */
  receive(from: string, payload: Buffer): boolean {
    let beats = true;
    try {
      // Entries live on in the log. One copy serves all entries of the frame.
      for (const { groupId, message } of decodeFrame(Buffer.from(payload), from, this.nodeId)) {
        if (message.type !== 'heartbeat') beats = false;
        this.step(groupId, message);
      }
      return beats;
    } catch (error) {
      if (!isDwError(error, 'frame-malformed')) throw error;
      this.malformedFrames++;
      if (this.malformedFrames <= MAX_LOGGED_REFUSALS) {
        this.log.warn({ peer: from, reason: error.message }, 'refused a frame of Raft messages');
      }
      return false;
    }
  }
}
