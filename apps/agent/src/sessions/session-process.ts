import type { Clock } from '@drawbridge/link';
import type { SessionSignal, TerminalSize } from '@drawbridge/protocol';

/** How a session's process ended: one of both, or neither when nobody knows. */
export interface SessionExit {
  readonly code: number | undefined;
  readonly signal: string | undefined;
}

/** The process of a session, whatever it is connected by. */
export interface SessionProcess {
  readonly pid: number;
  /** Resolves when it has exited and all that it printed has been told. Never rejects. */
  readonly exited: Promise<SessionExit>;
  /** Gives it input. Resolves when there is room for more, or nobody takes any. */
  write(bytes: Uint8Array): Promise<void>;
  /** No more input comes. */
  endInput(): void;
  resize(size: TerminalSize): void;
  signal(name: SessionSignal): void;
  /** Lets go of it: nothing more is read, or written. */
  hangUp(): void;
  /** Holds its output back, and lets it go on. */
  pause(): void;
  resume(): void;
}

/** What a session's process is made from. */
export interface SessionProcessOptions extends TerminalSize {
  readonly argv: readonly [string, ...string[]];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly onOutput: (bytes: Uint8Array, stderr: boolean) => void;
}

/** Signals a process and all of its group. One that is gone hears nothing. */
export function signalGroup(pid: number, signal: SessionSignal): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // ESRCH: it has just ended.
  }
}
