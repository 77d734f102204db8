// Which SDK a plugin was built for, written on the class, and this SDK's own version.

import { DwError } from '../errors/index.js';

/** Version of this SDK. The host refuses plugins that were built for another major version. */
export const SDK_VERSION = '1.0.0';

const key: unique symbol = Symbol.for('datawarehouse.SdkCompatibility') as never;
const VERSION = /^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?$/;

type AnyClass = abstract new (...args: never[]) => unknown;

/**
 * Class decorator: says which version of the SDK the plugin was built for. Works with standard and with legacy
 * decorators.
 * @throws DwError `sdk-version-invalid` when `version` is not `major.minor.patch`.
 * @example
 * ```ts
 * @SdkCompatibility('1.0.0')
 * export class Counter extends PluginBase { … }
 * ```
 */
export function SdkCompatibility(version: string): (target: AnyClass, context?: unknown) => void {
  if (!VERSION.test(version)) {
    throw new DwError({
      code: 'sdk-version-invalid',
      message: `@SdkCompatibility("${version}") is not a version`,
      hint: 'write major.minor.patch, such as "1.0.0"',
    });
  }
  return (target) => {
    Object.defineProperty(target, key, { value: version, configurable: true });
  };
}

/** The version that {@link SdkCompatibility} put on exactly this class, or undefined. */
export function sdkCompatibilityOf(target: unknown): string | undefined {
  if (typeof target !== 'function' || !Object.hasOwn(target, key)) return undefined;
  return (target as unknown as Record<symbol, string>)[key];
}
