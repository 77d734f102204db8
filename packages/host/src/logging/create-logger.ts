// The log of the host: the SDK's Logger over pino. JSON lines, or readable ones on a terminal; the node's id on each.

import { createRequire } from 'node:module';
import { pino } from 'pino';
import type { DestinationStream, Logger as PinoLogger } from 'pino';
import type { Logger } from '@datawarehouse/sdk';

/** How the log is written. */
export interface LoggerOptions {
  readonly nodeId: string;
  /** `debug`, `info`, `warn`, `error` or `silent`. */
  readonly level: string;
  /** Readable lines rather than JSON. Default: whether standard error is a terminal. */
  readonly pretty?: boolean;
  /** Where lines go. Default: standard error. */
  readonly destination?: DestinationStream;
}

/**
 * Bytes of lines that wait for a reader of standard error who has stopped reading. Beyond it lines are lost: a node
 * must not stop, nor its memory grow, because nobody reads its log.
 */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

/** Whatever is logged under these names is replaced, so that a careless line gives no secret away. */
const SECRETS = ['token', 'authorization', 'password', 'secret'].flatMap((name) => [
  name,
  `*.${name}`,
  `*.*.${name}`,
]);

type PrettyFactory = (options: Record<string, unknown>) => DestinationStream;

function prettyStream(): DestinationStream {
  // Loaded only when it is used: it takes longer to load than the rest of the log together.
  const load = createRequire(import.meta.url);
  const factory = load('pino-pretty') as PrettyFactory;
  return factory({
    colorize: process.stderr.isTTY,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'pid,hostname,node',
    destination: 2,
    sync: true,
  });
}

class HostLogger implements Logger {
  constructor(private readonly target: PinoLogger) {}

  debug(fields: Readonly<Record<string, unknown>> | string, message?: string): void {
    this.write('debug', fields, message);
  }

  info(fields: Readonly<Record<string, unknown>> | string, message?: string): void {
    this.write('info', fields, message);
  }

  warn(fields: Readonly<Record<string, unknown>> | string, message?: string): void {
    this.write('warn', fields, message);
  }

  error(fields: Readonly<Record<string, unknown>> | string, message?: string): void {
    this.write('error', fields, message);
  }

  child(fields: Readonly<Record<string, unknown>>): Logger {
    return new HostLogger(this.target.child({ ...fields }));
  }

  private write(
    level: 'debug' | 'info' | 'warn' | 'error',
    fields: Readonly<Record<string, unknown>> | string,
    message: string | undefined,
  ): void {
    // The text goes through no format: "%s" in it stays as it is.
    if (typeof fields === 'string') this.target[level]({}, fields);
    else this.target[level](fields, message);
  }
}

/** Makes the log of a node. */
export function createLogger(options: LoggerOptions): Logger {
  const pretty = options.pretty ?? (options.destination === undefined && process.stderr.isTTY);
  const destination =
    options.destination ??
    (pretty ? prettyStream() : pino.destination({ dest: 2, sync: false, maxLength: MAX_WAITING_BYTES }));
  const target = pino(
    {
      level: options.level,
      base: { node: options.nodeId },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: pino.stdSerializers.errWithCause, err: pino.stdSerializers.errWithCause },
      redact: { paths: SECRETS, censor: '[secret]' },
    },
    destination,
  );
  return new HostLogger(target);
}
