import { z } from 'zod';
import { LIMITS } from '../limits.ts';
import { utf8Bytes } from '../envelope.ts';
import { operation } from './operation.ts';

/** How many columns and rows a terminal has. */
export const TerminalSize = z.object({
  cols: z.int().min(1).max(LIMITS.terminalColumnsMax),
  rows: z.int().min(1).max(LIMITS.terminalColumnsMax),
});
export type TerminalSize = z.infer<typeof TerminalSize>;

/** What may be sent to a session's processes. */
export const SessionSignal = z.enum(['SIGINT', 'SIGTERM', 'SIGKILL', 'SIGQUIT', 'SIGHUP']);
export type SessionSignal = z.infer<typeof SessionSignal>;

const NoNul = z.string().refine((text) => !text.includes('\0'), { message: 'holds a NUL character' });

/** Variables that are added to a session's environment, or take the place of what is there. */
const Environment = z
  .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'is no name of a variable'), NoNul)
  .refine((env) => utf8Bytes(JSON.stringify(env)) <= LIMITS.sessionEnvironmentBytesMax, {
    message: `the environment is longer than ${LIMITS.sessionEnvironmentBytesMax} bytes`,
  });

/** A program and its arguments, or a line for the shell. */
const SessionCommand = z
  .union([NoNul.min(1), z.tuple([NoNul.min(1)], NoNul)])
  .refine((command) => utf8Bytes(JSON.stringify(command)) <= LIMITS.sessionCommandBytesMax, {
    message: `the command is longer than ${LIMITS.sessionCommandBytesMax} bytes`,
  });
export type SessionCommand = z.infer<typeof SessionCommand>;

/** `pty`: a terminal; `pipe`: three pipes, with stdout and stderr apart. */
export const SessionMode = z.enum(['pty', 'pipe']);
export type SessionMode = z.infer<typeof SessionMode>;

/** What a session is made from. Without a command it is the agent's shell. */
export const NewSession = z.strictObject({
  mode: SessionMode.default('pty'),
  command: SessionCommand.optional(),
  /** An absolute path, or one that begins with `~`; by default the agent's home directory. */
  cwd: NoNul.min(1).max(4096).optional(),
  env: Environment.default({}),
  cols: TerminalSize.shape.cols.default(80),
  rows: TerminalSize.shape.rows.default(24),
});
export type NewSession = z.infer<typeof NewSession>;

const SessionId = z.strictObject({ session_id: z.uuid() });

/** A session as its agent tells of it. */
export const SessionInfo = z.object({
  session_id: z.uuid(),
  mode: SessionMode,
  /** What runs, as it would be typed. */
  command: z.string().max(256),
  cwd: z.string().max(4096),
  state: z.enum(['running', 'exited']),
  pid: z.int(),
  cols: z.int(),
  rows: z.int(),
  created_at: z.iso.datetime(),
  created_by: z.string().max(300),
  created_by_name: z.string().max(300),
  /** When nobody is attached any more, the session ends after this long. */
  ttl_seconds: z.number(),
  exited_at: z.iso.datetime().optional(),
  /** Missing when a signal ended it. */
  exit_code: z.int().optional(),
  signal: z.string().max(32).optional(),
  /** Bytes of output since it began, and the first of them that can still be had. */
  output_bytes: z.int(),
  output_since: z.int(),
  viewers: z.int(),
  /** Who types; missing when nobody is attached for writing. */
  writer: z.string().max(300).optional(),
});
export type SessionInfo = z.infer<typeof SessionInfo>;

/** Starts a session. A repetition under the same id answers with what is there. */
export const sessionCreate = operation({
  effect: 'idempotent',
  params: NewSession.extend({
    session_id: z.uuid(),
    created_by: z.string().max(300),
    created_by_name: z.string().max(300),
  }),
  result: SessionInfo,
  // Command and environment may hold secrets.
  content: true,
});

export const sessionGet = operation({ effect: 'read', params: SessionId, result: SessionInfo, content: false });

export const sessionList = operation({
  effect: 'read',
  params: z.strictObject({}),
  result: z.object({ items: z.array(SessionInfo) }),
  content: false,
});

/** Ends a session's processes, and forgets it. */
export const sessionEnd = operation({ effect: 'idempotent', params: SessionId, result: SessionInfo, content: false });

/** The metadata of a `session` channel. */
export const SessionChannelMetadata = z.object({
  session_id: z.uuid(),
  /** From which byte of the output on; by default from the oldest that is kept. */
  since: z.int().min(0).optional(),
  /** Only looks: nothing it sends reaches the session. */
  view: z.boolean().default(false),
  /** Takes the place of who writes now. */
  takeover: z.boolean().default(false),
  /** Whose channel it is: one that comes back takes the place that the same one had before. */
  attach_id: z.uuid().optional(),
  /** Who attaches, as the control plane names them. */
  actor: z.string().max(300).default(''),
});
export type SessionChannelMetadata = z.infer<typeof SessionChannelMetadata>;

/** What a `session` channel is accepted with: the offset of its first byte, and of the first that was not there yet. */
export const SessionChannelAck = z.object({
  offset: z.int().min(0),
  end: z.int().min(0),
  mode: SessionMode,
  cols: z.int(),
  rows: z.int(),
});
export type SessionChannelAck = z.infer<typeof SessionChannelAck>;

/** The reason of the CLOSE, code 12, of a channel whose writer was replaced. */
export const SESSION_TAKEN_OVER = 'taken_over';

/** CONTROL from the end that attached. */
export const SessionControl = z.union([TerminalSize, z.object({ signal: SessionSignal })]);
export type SessionControl = z.infer<typeof SessionControl>;

/** CONTROL from the session: what comes next begins there, and the bytes before it are gone. */
export const SessionGap = z.object({ offset: z.int().min(0) });
