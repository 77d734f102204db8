import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ConfChange } from '../types.js';
import {
  confChangeFormat,
  decodeConfChange,
  encodeConfChange,
  leaveJointChange,
  maxChangesPerEntry,
} from './encoding.js';

const someSingle = fc.record({
  type: fc.constantFrom('add-voter', 'add-learner', 'add-witness', 'remove', 'update'),
  nodeId: fc.string({ unit: 'grapheme', maxLength: 20 }),
} as const);
const someContext = fc.uint8Array({ maxLength: 20 });
const someChange: fc.Arbitrary<ConfChange> = fc.record({
  transition: fc.constantFrom('auto', 'joint-implicit', 'joint-explicit'),
  changes: fc.array(someSingle, { maxLength: 5 }),
  context: someContext,
} as const);

function codeOf(step: () => unknown): string | undefined {
  try {
    step();
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code;
  }
}

describe('a membership change in an entry', () => {
  it('comes back as it was written', () => {
    fc.assert(
      fc.property(someChange, (change) => {
        expect(decodeConfChange(encodeConfChange(change))).toEqual(change);
      }),
    );
  });

  it('comes back from the older format, which holds one change', () => {
    fc.assert(
      fc.property(someSingle, someContext, (single, context) => {
        const change: ConfChange = { transition: 'auto', changes: [single], context };
        const data = encodeConfChange(change, 'v1');
        expect(confChangeFormat(data)).toBe('v1');
        expect(decodeConfChange(data)).toEqual(change);
      }),
    );
    const two: ConfChange = {
      ...leaveJointChange,
      changes: [
        { type: 'remove', nodeId: 'a' },
        { type: 'remove', nodeId: 'b' },
      ],
    };
    expect(codeOf(() => encodeConfChange(two, 'v1'))).toBe('conf-change-invalid');
    expect(codeOf(() => encodeConfChange(leaveJointChange, 'v1'))).toBe('conf-change-invalid');
  });

  it('is nothing at all when it leaves a joint membership', () => {
    expect(encodeConfChange(leaveJointChange)).toHaveLength(0);
    expect(confChangeFormat(new Uint8Array(0))).toBe('v2');
  });

  it('is taken from no other bytes: a refusal, never a crash or half a change', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const code = codeOf(() => decodeConfChange(bytes));
        if (code !== undefined) expect(code).toBe('conf-change-malformed');
        else expect(codeOf(() => encodeConfChange(decodeConfChange(bytes)))).toBeUndefined();
      }),
    );
    fc.assert(
      fc.property(someChange, fc.nat(), (change, cut) => {
        const data = encodeConfChange({ ...change, context: new Uint8Array(0) });
        if (data.length === 0) return;
        // Every proper beginning but the empty one ends too early.
        const part = data.subarray(0, 1 + (cut % data.length));
        if (part.length < data.length) {
          expect(codeOf(() => decodeConfChange(part))).toBe('conf-change-malformed');
        }
      }),
    );
  });

  it('is bounded', () => {
    const many = Array.from({ length: maxChangesPerEntry + 1 }, () => ({
      type: 'update' as const,
      nodeId: 'a',
    }));
    expect(codeOf(() => encodeConfChange({ ...leaveJointChange, changes: many }))).toBe(
      'conf-change-invalid',
    );
    expect(codeOf(() => decodeConfChange(Uint8Array.of(2, 0, 0xff, 0xff)))).toBe('conf-change-malformed');
    expect(
      codeOf(() =>
        encodeConfChange({
          ...leaveJointChange,
          changes: [{ type: 'update', nodeId: 'a'.repeat(2_000) }],
        }),
      ),
    ).toBe('conf-change-invalid');
  });
});
