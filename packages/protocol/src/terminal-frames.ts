import { z } from 'zod';
import { SessionMode, SessionSignal, TerminalSize } from './operations/session.ts';

/**
 * What a WebSocket of a session carries (PROTOCOL.md §4.2): binary messages whose first byte is one of these, and JSON text beside them.
 * The framing is that of OpenSandbox's `/pty/{id}/ws`.
 */
export const TerminalFrame = {
  /** To the session: input. */
  Stdin: 0x00,
  Stdout: 0x01,
  /** Of a session on pipes alone. */
  Stderr: 0x02,
  /** Output again, or after a gap: the offset of its first byte as 8 bytes, big endian, and then the bytes. */
  Replay: 0x03,
} as const;

/** JSON text to the session. */
export const TerminalRequest = z.discriminatedUnion('type', [
  z.object({ type: z.literal('stdin'), data: z.string() }),
  TerminalSize.extend({ type: z.literal('resize') }),
  z.object({ type: z.literal('signal'), signal: SessionSignal }),
  z.object({ type: z.literal('ping') }),
]);
export type TerminalRequest = z.infer<typeof TerminalRequest>;

/** JSON text from the session. */
export const TerminalMessage = z.discriminatedUnion('type', [
  z.object({ type: z.literal('connected'), session_id: z.string(), mode: SessionMode }),
  z.object({ type: z.literal('exit'), exit_code: z.number() }),
  z.object({ type: z.literal('error'), error: z.string(), code: z.string() }),
  z.object({ type: z.literal('pong') }),
]);
export type TerminalMessage = z.infer<typeof TerminalMessage>;
