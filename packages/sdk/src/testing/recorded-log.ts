// A logger that keeps what is logged, so that a test can look at it.

import type { LogMethod, Logger } from '../plugin/logger.js';

/** One line that was logged. */
export interface LogRecordLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  /** The fields of the line and of the loggers that it came through. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Lines that are kept; the oldest go first. */
const KEPT = 10_000;

/** Makes a logger that adds its lines to `lines`. */
export function recordingLogger(
  lines: LogRecordLine[],
  inherited: Readonly<Record<string, unknown>> = {},
): Logger {
  const method =
    (level: LogRecordLine['level']): LogMethod =>
    (first: Readonly<Record<string, unknown>> | string, text?: string): void => {
      if (lines.length >= KEPT) lines.shift();
      const fields = typeof first === 'string' ? inherited : { ...inherited, ...first };
      lines.push({ level, message: typeof first === 'string' ? first : (text ?? ''), fields });
    };
  return {
    debug: method('debug'),
    info: method('info'),
    warn: method('warn'),
    error: method('error'),
    child: (fields) => recordingLogger(lines, { ...inherited, ...fields }),
  };
}
