import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Logger as PinoLogger, pino } from 'pino';
import { createRequire } from 'node:module';
import type { prettyFactory as PrettyFactory } from 'pino-pretty';
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

/** What a program says about its log. */
export interface LoggerOptions {
  readonly level: LogLevel;
  /** Gets every line as JSON as well; only its owner can read it. */
  readonly file?: string | undefined;
  readonly sink?: LogSink;
}

/**
 * A logger that writes to stderr, as JSON or, on a terminal, for people, and never writes a secret that `redact` can tell.
 * Disposing it closes the file.
 */
export function createLogger({ level, file, sink = process.stderr }: LoggerOptions): Logger & Disposable {
  const format = sink.isTTY === true ? prettyFormat() : undefined;
  const logFile = file === undefined ? undefined : openLogFile(file, sink);
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
  return Object.assign(logger, { [Symbol.dispose]: () => logFile?.close() });
}

interface LogFile {
  write(line: string): void;
  close(): void;
}

/** Lines are written at once: what was logged before a crash is there after it. */
function openLogFile(path: string, sink: LogSink): LogFile {
  mkdirSync(dirname(path), { recursive: true });
  let fd: number | undefined = openSync(path, 'a', 0o600);
  const close = () => {
    if (fd !== undefined) closeSync(fd);
    fd = undefined;
  };
  return {
    write(line) {
      if (fd === undefined) return;
      try {
        writeSync(fd, line);
      } catch (error) {
        // A full disk must not stop a program that only wanted to say something.
        close();
        sink.write(`${JSON.stringify({ level: 'error', msg: 'log file closed', file: path, err: String(error) })}\n`);
      }
    },
    close,
  };
}

/** Loaded for terminals only: a daemon that logs to a file has no use for it. */
function prettyFormat(): ReturnType<typeof PrettyFactory> {
  const { prettyFactory } = createRequire(import.meta.url)('pino-pretty') as { prettyFactory: typeof PrettyFactory };
  return prettyFactory({ colorize: true, translateTime: 'SYS:HH:MM:ss.l' });
}
