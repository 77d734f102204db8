// Given a file whose syncs end when the test says so.

import { settle } from '@datawarehouse/sdk/testing';
import { describe, expect, it } from 'vitest';
import { MAX_UNSYNCED_BYTES, SYNC_STEP_BYTES, SteadySync } from './steady-sync.js';

class SlowFile {
  /** Syncs under way, oldest first. */
  readonly syncs: { readonly done: () => void; readonly failed: (error: Error) => void }[] = [];
  begun = 0;

  datasync(): Promise<void> {
    this.begun++;
    return new Promise((done, failed) => {
      this.syncs.push({ done, failed });
    });
  }

  async end(): Promise<void> {
    this.syncs.shift()?.done();
    await settle();
  }
}

/** Whether a promise has resolved by now. */
async function isDone(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  void promise.then(() => (done = true));
  await settle();
  return done;
}

describe('a file that is synced while it is written', () => {
  it('goes to the disk portion by portion when it comes slowly, and its writer does not wait', async () => {
    const file = new SlowFile();
    const syncs = new SteadySync(file);
    for (let portion = 1; portion <= 20; portion++) {
      await syncs.wrote(SYNC_STEP_BYTES);
      expect(file.begun).toBe(portion);
      await file.end();
    }
    await syncs.settled();
  });

  it('is not synced for less than a portion', async () => {
    const file = new SlowFile();
    const syncs = new SteadySync(file);
    await syncs.wrote(SYNC_STEP_BYTES - 1);
    expect(file.begun).toBe(0);
    await syncs.wrote(1);
    expect(file.begun).toBe(1);
  });

  it('has one sync at a time, and the next covers all that was written meanwhile', async () => {
    const file = new SlowFile();
    const syncs = new SteadySync(file);
    for (let n = 0; n < 8; n++) await syncs.wrote(SYNC_STEP_BYTES);
    expect(file.syncs.length).toBe(1);
    await file.end();
    expect(file.syncs.length).toBe(1);
    await file.end();
    expect(file.begun).toBe(2);
    await syncs.settled();
  });

  it('has its writer wait for the disk when too much waits, and no longer than needed', async () => {
    const file = new SlowFile();
    const syncs = new SteadySync(file);
    await syncs.wrote(SYNC_STEP_BYTES);
    await syncs.wrote(MAX_UNSYNCED_BYTES - SYNC_STEP_BYTES);
    const full = syncs.wrote(SYNC_STEP_BYTES);
    expect(await isDone(full)).toBe(false);
    await file.end();
    expect(await isDone(full)).toBe(true);
    expect(file.syncs.length).toBe(1);
  });

  it('is settled only when no sync is under way', async () => {
    const file = new SlowFile();
    const syncs = new SteadySync(file);
    await syncs.wrote(SYNC_STEP_BYTES);
    await syncs.wrote(SYNC_STEP_BYTES);
    const settled = syncs.settled();
    await file.end();
    expect(await isDone(settled)).toBe(false);
    await file.end();
    expect(await isDone(settled)).toBe(true);
  });

  it('fails for good with a sync that fails: nothing is synced again as if it had not', async () => {
    const file = new SlowFile();
    const syncs = new SteadySync(file);
    await syncs.wrote(SYNC_STEP_BYTES);
    await syncs.wrote(MAX_UNSYNCED_BYTES - SYNC_STEP_BYTES);
    const waiting = expect(syncs.wrote(SYNC_STEP_BYTES)).rejects.toThrow('EIO');
    file.syncs.shift()?.failed(new Error('EIO'));
    await waiting;
    await expect(syncs.wrote(SYNC_STEP_BYTES)).rejects.toThrow('EIO');
    await expect(syncs.settled()).rejects.toThrow('EIO');
    expect(file.begun).toBe(1);
  });
});
