import { constants } from 'node:os';
import type { AttachStatus, SessionTerminal } from '@drawbridge/client';
import type { TerminalSize } from '@drawbridge/protocol';
import { note, plain, write } from '../output.ts';
import { bytesText } from '../forward/bytes-text.ts';
import { untilSignal } from '../until-signal.ts';
import { Escapes } from './escapes.ts';
import { TitleStatus, isTerminal, rawMode, sizeOf } from './local-terminal.ts';
import type { LocalTerminal } from './local-terminal.ts';

/** What may be typed, or pasted, and wait for the connection. */
const UNWRITTEN_KEYS_MAX = 1_000_000;
const HELP = ['~.  leave: the session goes on', '~~  one ~', '~?  this'];

export interface RunShellOptions {
  readonly agent: string;
  readonly terminal: LocalTerminal;
  readonly attach: (
    options: { size: TerminalSize | undefined; onStatus: (status: AttachStatus) => void },
    signal: AbortSignal,
  ) => Promise<SessionTerminal>;
}

/**
 * Shows a session in this terminal until it ends, or somebody leaves it with `~.` or a signal. Resolves with the exit code: the session's
 * own, 128 and the signal's number when one ended it, and 0 when it goes on.
 */
export async function runShell({ agent, terminal, attach }: RunShellOptions): Promise<number> {
  let exitCode = 0;
  let left: SessionTerminal | undefined;
  await untilSignal(async (signal) => {
    using status = new TitleStatus(terminal);
    const onStatus = (now: AttachStatus) => {
      if (now.is === 'attached') status.clear();
      else status.show(plain(`drawbridge: ${agent}: reconnecting (${now.reason})`));
    };
    await using session = await attach({ size: sizeOf(terminal), onStatus }, signal);
    const leaving = new AbortController();
    const onAbort = () => leaving.abort();
    signal.addEventListener('abort', onAbort, { once: true });
    const isRaw = isTerminal(terminal);
    using _raw = rawMode(terminal);
    using _input = passInput(session, terminal, isRaw, () => leaving.abort());
    using _size = passSize(session, terminal);
    await Promise.race([show(session, terminal), aborted(leaving.signal)]);
    signal.removeEventListener('abort', onAbort);
    const { end } = session;
    if (end === undefined) left = session;
    else exitCode = end.exitCode ?? 128 + signalNumber(end.reason);
  });
  if (left !== undefined) {
    if (terminal.output.isTTY) terminal.output.write('\n');
    note(`the session goes on: drawbridge shell ${agent} --session ${left.sessionId}`);
  }
  return exitCode;
}

async function show(session: SessionTerminal, { output }: LocalTerminal): Promise<void> {
  for await (const { bytes, stderr, lostBytes } of session) {
    if (lostBytes > 0) aside(`[${bytesText(lostBytes)} of output are gone: the agent keeps no more]`);
    await write(stderr ? process.stderr : output, bytes);
  }
}

/** What is typed goes to the session as fast as that takes it. */
function passInput(session: SessionTerminal, { input }: LocalTerminal, isRaw: boolean, leave: () => void): Disposable {
  const escapes = new Escapes();
  let writing = Promise.resolve();
  let unwritten = 0;
  const onData = (chunk: Buffer) => {
    const { bytes, command } = isRaw ? escapes.take(chunk) : { bytes: chunk, command: undefined };
    if (command === 'leave') return leave();
    if (command === 'help') aside(...HELP);
    if (bytes.byteLength === 0) return;
    unwritten += bytes.byteLength;
    // Keys are read on, so that somebody who waits for a lost connection can still leave.
    if (!isRaw || unwritten > UNWRITTEN_KEYS_MAX) input.pause();
    const settled = () => {
      unwritten -= bytes.byteLength;
      input.resume();
    };
    writing = writing.then(() => session.write(bytes)).then(settled, settled);
  };
  const onEnd = () => void writing.then(() => session.endInput()).catch(() => undefined);
  input.on('data', onData);
  input.once('end', onEnd);
  return {
    [Symbol.dispose]() {
      input.off('data', onData);
      input.off('end', onEnd);
      input.pause();
      // An open pipe would keep the program here.
      if (!isRaw) input.destroy();
    },
  };
}

function passSize(session: SessionTerminal, terminal: LocalTerminal): Disposable {
  const onResize = () => {
    const size = sizeOf(terminal);
    if (size !== undefined) session.resize(size).catch(() => undefined);
  };
  terminal.output.on('resize', onResize);
  return { [Symbol.dispose]: () => void terminal.output.off('resize', onResize) };
}

/** Lines of this program's own, in a terminal where nothing adds the return to a line. */
function aside(...lines: readonly string[]): void {
  process.stderr.write('\r\n');
  for (const text of lines) {
    note(text);
    process.stderr.write('\r');
  }
}

function signalNumber(name: string): number {
  return Object.entries(constants.signals).find(([known]) => known === name)?.[1] ?? 0;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
