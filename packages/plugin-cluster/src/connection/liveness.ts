// Decides from regular looks at a connection whether the other side is still there. Pure.
// It counts looks, not time: when this process itself was stopped or busy for seconds, its timers fire late but once,
// so that a pause of ours is not taken for the peer's silence.

/** What a look found. */
export type LivenessVerdict = 'alive' | 'silent' | 'write-stalled' | 'frame-stalled';

/** What a look needs to know of the connection. */
export interface LivenessSample {
  /** Bytes received since the connection was made. */
  readonly bytesIn: number;
  /** Bytes whose write has completed. */
  readonly bytesWritten: number;
  /** Whether a write is under way. */
  readonly writing: boolean;
  /** Whether what was received ends inside a frame. */
  readonly insideFrame: boolean;
  /** Frames received since the connection was made. */
  readonly framesIn: number;
  /** Whether we do not read now: then silence is ours, and only what we write shows whether the other side is there. */
  readonly paused: boolean;
}

/** After how many looks without progress each verdict falls. */
export interface LivenessBounds {
  /** Nothing received. */
  readonly silent: number;
  /** A write under way and nothing written. */
  readonly writeStalled: number;
  /** The same frame still not complete, though bytes arrive. */
  readonly frameStalled: number;
}

/** The looks at one connection. */
export class Liveness {
  private bytesIn = -1;
  private bytesWritten = -1;
  private framesIn = -1;
  private silentLooks = 0;
  private writeLooks = 0;
  private frameLooks = 0;

  /** Takes one look. */
  look(sample: LivenessSample, bounds: LivenessBounds): LivenessVerdict {
    this.silentLooks = !sample.paused && sample.bytesIn === this.bytesIn ? this.silentLooks + 1 : 0;
    this.writeLooks = sample.writing && sample.bytesWritten === this.bytesWritten ? this.writeLooks + 1 : 0;
    const frameStands = !sample.paused && sample.insideFrame && sample.framesIn === this.framesIn;
    this.frameLooks = frameStands ? this.frameLooks + 1 : 0;
    this.bytesIn = sample.bytesIn;
    this.bytesWritten = sample.bytesWritten;
    this.framesIn = sample.framesIn;
    if (this.silentLooks >= bounds.silent) return 'silent';
    if (this.writeLooks >= bounds.writeStalled) return 'write-stalled';
    if (this.frameLooks >= bounds.frameStalled) return 'frame-stalled';
    return 'alive';
  }
}
