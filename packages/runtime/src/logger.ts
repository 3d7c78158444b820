import { type Logger as PinoLogger, pino } from 'pino';
import { createRequire } from 'node:module';
import type { prettyFactory as PrettyFactory } from 'pino-pretty';
import { LOG_FILES_KEPT, LOG_FILE_BYTES_MAX, LogFile } from './log-file.ts';
import { redact } from './redact.ts';

/** The levels that can be asked for. */
export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A pino logger, or a child of one. */
export type Logger = PinoLogger;

/** Where lines go: stderr, unless a test listens. */
export interface LogSink {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/** What a program says about its log: the `logging` section of its configuration, as it stands there. */
export interface LoggerOptions {
  readonly level: LogLevel;
  /** Gets every line as JSON as well; only its owner can read it. */
  readonly file?: string | undefined;
  /** See `LogFile`. */
  readonly max_bytes?: number;
  readonly keep?: number;
  readonly sink?: LogSink;
}

/**
 * A logger that writes to stderr, as JSON or, on a terminal, for people, and never writes a secret that `redact` can tell.
 * Disposing it closes the file.
 */
export function createLogger(options: LoggerOptions): Logger & Disposable {
  const { level, file, sink = process.stderr } = options;
  const format = sink.isTTY === true ? prettyFormat() : undefined;
  const logFile = file === undefined ? undefined : openLogFile({ ...options, file }, sink);
  const logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    {
      write(raw: string) {
        const line = redact(raw);
        sink.write(format === undefined ? line : format(line));
        logFile?.write(line);
      },
    },
  );
  return Object.assign(logger, { [Symbol.dispose]: () => logFile?.[Symbol.dispose]() });
}

/** Its troubles are told where the other lines go: they must not be looked for in a file that cannot be written. */
function openLogFile({ file, max_bytes, keep }: LoggerOptions & { readonly file: string }, sink: LogSink): LogFile {
  const say = (level: LogLevel, msg: string, fields: object) =>
    sink.write(`${JSON.stringify({ level, msg, file, ...fields })}\n`);
  return new LogFile({
    path: file,
    maxBytes: max_bytes ?? LOG_FILE_BYTES_MAX,
    keep: keep ?? LOG_FILES_KEPT,
    onFailed: (error) => say('error', 'log file cannot be written', { err: String(error) }),
    onRecovered: (linesLost) => say('warn', 'log file is written again', { linesLost }),
  });
}

/** Loaded for terminals only: a daemon that logs to a file has no use for it. */
function prettyFormat(): ReturnType<typeof PrettyFactory> {
  const { prettyFactory } = createRequire(import.meta.url)('pino-pretty') as { prettyFactory: typeof PrettyFactory };
  return prettyFactory({ colorize: true, translateTime: 'SYS:HH:MM:ss.l' });
}
