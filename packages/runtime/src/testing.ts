import { createLogger } from './logger.ts';
import type { Logger } from './logger.ts';

/** For tests: a log that is kept in memory, line by line. */
export interface MemoryLog {
  readonly log: Logger;
  readonly lines: Record<string, unknown>[];
}

/** For tests: keeps every line from `debug` on. */
export function memoryLog(): MemoryLog {
  const lines: Record<string, unknown>[] = [];
  const sink = { write: (text: string) => lines.push(JSON.parse(text) as Record<string, unknown>) };
  return { log: createLogger({ level: 'debug', sink }), lines };
}
