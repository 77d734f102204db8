// Checks subsystems as they register, and changes of their limits before the subsystem sees them.

import type { IScalableSubsystem, LimitDescriptor, LimitDescriptors } from '@datawarehouse/sdk';
import { nearestName } from '../schema/nearest-name.js';
import { limitOutOfRange, limitsEmpty, limitUnknown, subsystemInvalid } from './errors.js';
import type { LimitValues } from './kept-limits.js';

const NAME = /^[a-z0-9]+(?:-[a-z0-9]+)*$/;
const MAX_NAME = 64;
const MAX_LIMITS = 256;

function allowedBy(descriptor: LimitDescriptor): string {
  const kind = descriptor.integer === false ? 'a number' : 'a whole number';
  return `${kind} from ${descriptor.min} to ${descriptor.max} (${descriptor.unit})`;
}

function isAllowed(descriptor: LimitDescriptor, value: unknown): value is number {
  if (typeof value !== 'number' || !Number.isFinite(value)) return false;
  if (value < descriptor.min || value > descriptor.max) return false;
  return descriptor.integer === false || Number.isSafeInteger(value);
}

/** @throws DwError `subsystem-invalid` when its name or a descriptor is not usable. */
export function assertSubsystem(owner: string, subsystem: IScalableSubsystem): void {
  const name: unknown = subsystem.subsystemName;
  if (typeof name !== 'string' || name.length > MAX_NAME || !NAME.test(name)) {
    throw subsystemInvalid(
      owner,
      `its name must be lower-case words joined by "-", at most ${MAX_NAME} characters`,
    );
  }
  const descriptors = Object.entries(subsystem.limitDescriptors);
  if (descriptors.length > MAX_LIMITS) throw subsystemInvalid(owner, `it has more than ${MAX_LIMITS} limits`);
  for (const [limit, descriptor] of descriptors) {
    if (descriptor.min > descriptor.max || !isAllowed(descriptor, descriptor.default)) {
      throw subsystemInvalid(owner, `the default of ${name}.${limit} is not ${allowedBy(descriptor)}`);
    }
  }
}

/**
 * Checks a change whole.
 * @throws DwError `limit-unknown`, `limit-out-of-range` (422).
 */
export function assertChange(
  subsystem: string,
  descriptors: LimitDescriptors,
  change: unknown,
): asserts change is LimitValues {
  if (typeof change !== 'object' || change === null || Object.keys(change).length === 0) {
    throw limitsEmpty(subsystem);
  }
  for (const [name, value] of Object.entries(change)) {
    const descriptor = Object.hasOwn(descriptors, name) ? descriptors[name] : undefined;
    if (descriptor === undefined) {
      const known = Object.keys(descriptors);
      throw limitUnknown(subsystem, name, known, nearestName(name, known));
    }
    if (!isAllowed(descriptor, value)) throw limitOutOfRange(subsystem, name, value, allowedBy(descriptor));
  }
}
