// Every error of the kernel on one screen: its code, whom it names, and one thing to do about it. An error about a
// plugin carries the plugin and the phase of its life in `details`, so that programs need not read sentences.

import { DwError, errorMessage } from '@datawarehouse/sdk';
import type { PluginPhase } from './kernel/plugin-admin.js';

/** Longest text of a plugin's own error that goes into ours; some libraries write megabytes. */
const MAX_CAUSE_CHARACTERS = 1_000;
const MAX_STACK_CHARACTERS = 8_000;

interface PluginErrorOptions {
  readonly code: string;
  readonly plugin: string;
  readonly phase: PluginPhase;
  readonly message: string;
  readonly hint: string;
  readonly cause?: unknown;
  readonly status?: number;
  readonly details?: Readonly<Record<string, unknown>>;
}

function pluginError({ plugin, phase, details, ...rest }: PluginErrorOptions): DwError {
  return new DwError({ ...rest, details: { ...details, plugin, phase } });
}

/** The text of what a plugin threw, cut to a length that a log line bears. Never throws, whatever was thrown. */
export function causeText(thrown: unknown): string {
  let text: string;
  try {
    text = errorMessage(thrown);
  } catch {
    // A getter that throws, a cycle, a revoked proxy: the value has no text to give.
    text = 'a value that cannot be shown';
  }
  return text.length > MAX_CAUSE_CHARACTERS ? `${text.slice(0, MAX_CAUSE_CHARACTERS)}…` : text;
}

/** The stack of what a plugin threw, as text for a log line: the thrown object itself may be hostile to a serializer. */
export function causeStack(thrown: unknown): string | undefined {
  try {
    const { stack } = thrown as { readonly stack?: unknown };
    return typeof stack === 'string' ? stack.slice(0, MAX_STACK_CHARACTERS) : undefined;
  } catch {
    // Nothing has a stack if it is null, or if asking for it throws.
    return undefined;
  }
}

/** The phase an error of the kernel names, if any. */
export function phaseOf(error: DwError): PluginPhase | undefined {
  return error.details?.['phase'] as PluginPhase | undefined;
}

/** Errors that concern a plugin's package and manifest, before any of its code runs. */
export const discoveryErrors = {
  notFound: (name: string, lookedIn: readonly string[]): DwError =>
    pluginError({
      code: 'plugin-not-found',
      plugin: name,
      phase: 'discover',
      message: `plugin package "${name}" was not found; looked in ${lookedIn.slice(0, 6).join(', ') || 'no directory'}`,
      hint: 'install the package, or give the path of its directory in "plugins[].package"',
    }),
  manifestMissing: (name: string, directory: string): DwError =>
    pluginError({
      code: 'plugin-manifest-missing',
      plugin: name,
      phase: 'discover',
      message: `${directory} has neither a "datawarehouse" key in package.json nor a dw-plugin.json`,
      hint: 'add a manifest with at least "id", "sdk" and "entry"',
    }),
  manifestInvalid: (name: string, file: string, issues: readonly string[], cause?: unknown): DwError =>
    pluginError({
      code: 'plugin-manifest-invalid',
      plugin: name,
      phase: 'discover',
      message: `the manifest ${file} is wrong: ${issues.join('; ')}`,
      hint: 'correct the fields that are named and reload the plugin',
      cause,
      details: { issues },
    }),
  configInvalid: (plugin: string, issues: readonly string[]): DwError =>
    pluginError({
      code: 'plugin-config-invalid',
      plugin,
      phase: 'discover',
      message: `the configuration of plugin ${plugin} is wrong: ${issues.join('; ')}`,
      hint: 'correct "plugins[].config" in the node configuration and start the host again',
      details: { issues },
    }),
  duplicateId: (plugin: string, first: string, second: string): DwError =>
    pluginError({
      code: 'plugin-duplicate-id',
      plugin,
      phase: 'discover',
      message: `two packages claim the plugin id ${plugin}: ${first} and ${second}; only the first is loaded`,
      hint: 'remove one of them from "plugins"',
    }),
  entryOutside: (plugin: string, entry: string, directory: string): DwError =>
    pluginError({
      code: 'plugin-entry-outside',
      plugin,
      phase: 'discover',
      message: `the entry "${entry}" of plugin ${plugin} leads out of its package ${directory}`,
      hint: 'name a file inside the package as "entry"',
    }),
  entryMissing: (plugin: string, entry: string, cause: unknown): DwError =>
    pluginError({
      code: 'plugin-entry-missing',
      plugin,
      phase: 'discover',
      message: `the entry "${entry}" of plugin ${plugin} is not a file that can be read`,
      hint: 'build the plugin, or correct "entry" in its manifest',
      cause,
    }),
  sdkRange: (plugin: string, range: string, hostSdk: string): DwError =>
    pluginError({
      code: 'plugin-sdk-range',
      plugin,
      phase: 'discover',
      message: `plugin ${plugin} needs SDK ${range}, and this host has SDK ${hostSdk}`,
      hint: 'install a version of the plugin that was built for this SDK',
    }),
} as const;

/** Errors of loading a plugin's module and making its object. */
export const loadErrors = {
  integrity: (plugin: string, expected: string, actual: string): DwError =>
    pluginError({
      code: 'plugin-integrity-mismatch',
      plugin,
      phase: 'load',
      message: `the entry of plugin ${plugin} is not the one its manifest vouches for: ${actual} instead of ${expected}`,
      hint: 'install the plugin again from a source you trust',
    }),
  exportInvalid: (plugin: string, found: string): DwError =>
    pluginError({
      code: 'plugin-export-invalid',
      plugin,
      phase: 'load',
      message: `the entry of plugin ${plugin} must export "plugin", a class or a factory; found ${found}`,
      hint: 'write `export { MyPlugin as plugin }` in the entry module',
    }),
  shapeInvalid: (plugin: string, missing: readonly string[]): DwError =>
    pluginError({
      code: 'plugin-shape-invalid',
      plugin,
      phase: 'construct',
      message: `what plugin ${plugin} exports does not make a plugin: ${missing.join(', ')} missing or of the wrong type`,
      hint: 'extend PluginBase of @datawarehouse/sdk',
    }),
  idMismatch: (plugin: string, actual: string): DwError =>
    pluginError({
      code: 'plugin-id-mismatch',
      plugin,
      phase: 'construct',
      message: `the manifest says the plugin is ${plugin}, its class says ${actual}`,
      hint: 'use the same id in both',
    }),
  sdkMajor: (plugin: string, built: string, hostSdk: string): DwError =>
    pluginError({
      code: 'plugin-sdk-major',
      plugin,
      phase: 'construct',
      message: `plugin ${plugin} was built for SDK ${built} (@SdkCompatibility), and this host has SDK ${hostSdk}`,
      hint: `build the plugin for SDK ${hostSdk.split('.')[0] ?? hostSdk}.x`,
    }),
} as const;

/** Errors of the steps of a plugin's life. */
export const stepErrors = {
  failed: (plugin: string, phase: PluginPhase, cause: unknown, what?: string): DwError =>
    pluginError({
      code: 'plugin-step-failed',
      plugin,
      phase,
      message: `plugin ${plugin} failed in ${what ?? phase}: ${causeText(cause)}`,
      hint: `look at the cause, correct the plugin, then run: dw plugin reload ${plugin}`,
      cause,
    }),
  timeout: (plugin: string, phase: PluginPhase, timeoutMs: number, what?: string): DwError =>
    pluginError({
      code: 'plugin-step-timeout',
      plugin,
      phase,
      message: `plugin ${plugin} did not finish ${what ?? phase} within ${timeoutMs} ms`,
      hint: 'find what it waits for, or raise the deadline under "kernel" in the node configuration',
      details: { timeoutMs },
    }),
  aborted: (plugin: string, phase: PluginPhase): DwError =>
    pluginError({
      code: 'plugin-step-aborted',
      plugin,
      phase,
      message: `plugin ${plugin} was stopped during ${phase}`,
      hint: 'nothing to do: the host is stopping or an operator stopped the plugin',
    }),
  notProvided: (plugin: string, services: readonly string[]): DwError =>
    pluginError({
      code: 'plugin-service-not-provided',
      plugin,
      phase: 'activate',
      message: `the manifest of plugin ${plugin} says it provides ${services.join(', ')}, but it did not`,
      hint: 'call context.services.provide in initializeAsync or activateAsync, or correct the manifest',
    }),
} as const;

/** Errors of how plugins depend on one another. */
export const dependencyErrors = {
  providerMissing: (plugin: string, service: string, suspects: readonly string[]): DwError =>
    pluginError({
      code: 'plugin-provider-missing',
      plugin,
      phase: 'discover',
      message:
        `plugin ${plugin} requires ${service}, which no plugin provides` +
        (suspects.length === 0 ? '' : `; not loaded: ${suspects.slice(0, 5).join(', ')}`),
      hint: `add a plugin that provides ${service} to "plugins"`,
      details: { service },
    }),
  cycle: (plugin: string, loop: readonly string[]): DwError =>
    pluginError({
      code: 'plugin-dependency-cycle',
      plugin,
      phase: 'discover',
      message: `plugins require one another in a circle: ${loop.join(' → ')}`,
      hint: 'move what both need into a plugin of its own, or talk over the bus instead',
      details: { loop },
    }),
  duplicateProvider: (plugin: string, service: string, providers: readonly string[]): DwError =>
    pluginError({
      code: 'plugin-duplicate-provider',
      plugin,
      phase: 'discover',
      message: `${providers.join(' and ')} both provide ${service}; only one plugin may`,
      hint: 'disable one of them in "plugins"',
      details: { service, providers },
    }),
  blocked: (plugin: string, service: string, culprit: string, why: string): DwError =>
    pluginError({
      code: 'plugin-blocked',
      plugin,
      phase: 'discover',
      message: `plugin ${plugin} requires ${service} of plugin ${culprit}, which ${why}`,
      hint: `bring ${culprit} back: dw plugin enable ${culprit}`,
      details: { service, culprit },
    }),
} as const;

/** Errors that a plugin sees when it uses its context against the rules. */
export const contextErrors = {
  closed: (plugin: string): DwError =>
    pluginError({
      code: 'context-closed',
      plugin,
      phase: 'run',
      message: `plugin ${plugin} used its context after it was stopped`,
      hint: 'stop work when context.signal aborts, and keep nothing of the context',
    }),
  serviceNotDeclared: (plugin: string, service: string, list: 'provides' | 'requires'): DwError =>
    pluginError({
      code: 'service-not-declared',
      plugin,
      phase: 'run',
      message: `plugin ${plugin} used service ${service}, which its manifest does not name in "${list}"`,
      hint: `add "${service}" to "${list}" in the manifest`,
    }),
  serviceMissing: (plugin: string, service: string): DwError =>
    pluginError({
      code: 'service-missing',
      plugin,
      phase: 'run',
      message: `nobody provides service ${service}, which plugin ${plugin} asked for`,
      hint: 'ask for it in initializeAsync or later, not in the constructor',
    }),
  serviceGone: (provider: string, service: string): DwError =>
    pluginError({
      code: 'service-gone',
      plugin: provider,
      phase: 'run',
      status: 503,
      message: `service ${service} is gone: plugin ${provider}, which provided it, was stopped`,
      hint: 'take the service from the context again when the plugin is initialized',
    }),
  serviceTaken: (plugin: string, service: string, provider: string): DwError =>
    pluginError({
      code: 'service-taken',
      plugin,
      phase: 'run',
      message: `plugin ${plugin} cannot provide ${service}: plugin ${provider} does already`,
      hint: 'provide each service once',
    }),
  serviceInvalid: (plugin: string, service: string): DwError =>
    pluginError({
      code: 'service-invalid',
      plugin,
      phase: 'run',
      message: `plugin ${plugin} gave something that is neither an object nor a function as service ${service}`,
      hint: 'provide an object or a function',
    }),
  storeNotPermitted: (plugin: string, path: string, root: string): DwError =>
    pluginError({
      code: 'store-not-permitted',
      plugin,
      phase: 'run',
      status: 403,
      message: `plugin ${plugin} may not use ${causeText(path).slice(0, 100)}: its paths start with ${root}`,
      hint: 'make paths with context.storePath',
    }),
} as const;

/** Errors of plugins that crash while they run. */
export const crashErrors = {
  crashed: (plugin: string, where: string, cause: unknown): DwError =>
    pluginError({
      code: 'plugin-crashed',
      plugin,
      phase: 'run',
      message: `plugin ${plugin} failed in ${where}: ${causeText(cause)}`,
      hint: 'catch the error where it arises; three of these in five minutes and the plugin is quarantined',
      cause,
    }),
  quarantined: (plugin: string, crashes: number, windowMs: number, cause: unknown): DwError =>
    pluginError({
      code: 'plugin-quarantined',
      plugin,
      phase: 'run',
      message: `plugin ${plugin} crashed ${crashes} times in ${windowMs / 60_000} minutes and is quarantined; last: ${causeText(cause)}`,
      hint: `correct the plugin, then run: dw plugin enable ${plugin}`,
      cause,
    }),
} as const;

/** Errors of what operators ask for. */
export const adminErrors = {
  unknown: (plugin: string): DwError =>
    new DwError({
      code: 'plugin-unknown',
      status: 404,
      message: `there is no plugin ${plugin.slice(0, 128)}`,
      hint: 'list the plugins with: dw plugins',
      details: { plugin },
    }),
  required: (plugin: string): DwError =>
    new DwError({
      code: 'plugin-required',
      status: 409,
      message: `plugin ${plugin}, or one that depends on it, is marked required: the host cannot do without it`,
      hint: 'set "required" to false in the node configuration, or reload the plugin instead',
      details: { plugin },
    }),
  stopping: (): DwError =>
    new DwError({
      code: 'host-stopping',
      status: 503,
      message: 'the host is not running: it is stopping, or has not been started',
      hint: 'ask again when the host is ready',
    }),
  busy: (waiting: number): DwError =>
    new DwError({
      code: 'kernel-busy',
      status: 429,
      retryable: true,
      retryAfterMs: 1_000,
      message: `${waiting} changes to plugins are waiting already`,
      hint: 'wait until they are done',
    }),
} as const;

/** Errors of the host as a whole. */
export const hostErrors = {
  requiredFailed: (plugin: string, cause: DwError): DwError =>
    new DwError({
      code: 'required-plugin-failed',
      message: `the host cannot run: required plugin ${plugin} is not active: ${cause.message}`,
      hint: cause.hint ?? 'correct the plugin and start the host again',
      cause,
      details: { ...cause.details, plugin },
    }),
  uncaught: (origin: string, cause: unknown): DwError =>
    new DwError({
      code: 'host-uncaught',
      message: `${origin} that no plugin caused; the host cannot vouch for its state and stops: ${causeText(cause)}`,
      hint: 'start the host again and report the log line with its stack',
      cause,
    }),
  dataDirInUse: (dataDir: string, pid: number): DwError =>
    new DwError({
      code: 'data-dir-in-use',
      message: `data directory ${dataDir} is in use by process ${pid}`,
      hint: 'stop that process, or give this node a "dataDir" of its own',
      details: { pid },
    }),
  dataDirUnusable: (dataDir: string, cause: unknown): DwError =>
    new DwError({
      code: 'data-dir-unusable',
      message: `data directory ${dataDir} cannot be used: ${causeText(cause)}`,
      hint: 'give "dataDir" a directory that this user may write to',
      cause,
    }),
  storeFailed: (cause: DwError): DwError =>
    new DwError({
      code: 'host-store-failed',
      message: `the disk has failed the store of this node, which stops: ${cause.message}`,
      hint: 'look at the disk and its free space, then start the host again',
      cause,
    }),
  notRestartable: (): DwError =>
    new DwError({
      code: 'host-used',
      message: 'this host was started before; a Host runs once',
      hint: 'make another with Host.create',
    }),
} as const;
