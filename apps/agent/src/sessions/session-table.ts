import type { Clock } from '@drawbridge/link';
import { ControlError } from '@drawbridge/protocol';
import type { OPERATIONS, SessionInfo } from '@drawbridge/protocol';
import type { z } from 'zod';
import { AGENT_LIMITS } from '../limits.ts';
import type { PipePool } from '../tasks/pipe-pool.ts';
import type { ProcessIdentity, ProcessTable } from '../tasks/process-table.ts';
import { endTaskProcesses } from '../tasks/task-processes.ts';
import { startPiped } from './piped-process.ts';
import { resolveCommand } from './session-command.ts';
import { Session } from './session.ts';
import { startTerminal } from './terminal.ts';

/** What the agent's file says about sessions, as it is when one is made. */
export interface SessionSettings {
  readonly shell: string;
  readonly ringBytes: number;
  readonly ttlMs: number;
  /** Sessions that run at the same time, of everybody together and of one person. */
  readonly runningMax: number;
  readonly runningOfOneMax: number;
}

/** A session that somebody wants. */
export type WantedSession = z.output<(typeof OPERATIONS)['session.create']['params']>;

/** What sessions are made with. */
export interface SessionTableParts {
  readonly clock: Clock;
  readonly pipes: PipePool;
  readonly table: ProcessTable;
  /** What a session may know of the environment. */
  readonly env: Readonly<Record<string, string>>;
}

interface Entry {
  readonly session: Session;
  readonly identity: Promise<ProcessIdentity | undefined>;
}

/** All sessions of this machine: those that run, and those that ended a short while ago. */
export class SessionTable {
  readonly #parts: SessionTableParts;
  readonly #entries = new Map<string, Entry>();
  /** Those that are being started, by who wanted them: they count already. */
  readonly #starting = new Map<string, { readonly createdBy: string; readonly session: Promise<Session> }>();

  #isEnding = false;

  constructor(parts: SessionTableParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#entries.size + this.#starting.size;
  }

  /** Sessions that have not exited. */
  get running(): number {
    return this.#running().length + this.#starting.size;
  }

  /** The newest ones, as many as fit into an answer. */
  list(): SessionInfo[] {
    const all = Array.from(this.#entries.values(), ({ session }) => session.info());
    return all.slice(-AGENT_LIMITS.sessionsListedMax);
  }

  /** Throws ControlError `session_not_found`. */
  find(sessionId: string): Session {
    return this.#entry(sessionId).session;
  }

  /** Starts a session; one that is there already is the answer. Throws ControlError `queue_full`, `spawn_failed`, `invalid_request` … */
  async create(wanted: WantedSession, settings: SessionSettings): Promise<Session> {
    const known = this.#entries.get(wanted.session_id)?.session ?? this.#starting.get(wanted.session_id)?.session;
    if (known !== undefined) return known;
    if (this.#isEnding) throw new ControlError('tunnel_unavailable', 'the session host is ending');
    this.#requireRoom(wanted.created_by, settings);
    this.#forgetExited();
    const session = this.#start(wanted, settings);
    this.#starting.set(wanted.session_id, { createdBy: wanted.created_by, session });
    try {
      return await session;
    } finally {
      this.#starting.delete(wanted.session_id);
    }
  }

  /** Ends a session's processes, those in the background too, and forgets it. Resolves with how it ended. */
  async end(sessionId: string): Promise<SessionInfo> {
    const { session, identity } = this.#entry(sessionId);
    await this.#endProcesses(session, await identity);
    this.#entries.delete(sessionId);
    return session.info();
  }

  /** Ends those whose time is over, and forgets those that ended a while ago. Never rejects. */
  async sweep(): Promise<void> {
    const forgotten = Array.from(this.#entries.values()).filter(({ session }) => session.isForgotten);
    await Promise.allSettled(forgotten.map(({ session }) => this.end(session.facts.sessionId)));
    this.#forgetExited();
  }

  #forgetExited(): void {
    const over = Array.from(this.#entries.values(), ({ session }) => session)
      .filter(({ overMs }) => overMs !== undefined)
      .toSorted((one, other) => (one.overMs ?? 0) - (other.overMs ?? 0));
    for (const [index, { facts, overMs = 0 }] of over.entries()) {
      if (index >= AGENT_LIMITS.sessionsExitedMax || overMs >= AGENT_LIMITS.sessionExitedMs)
        this.#entries.delete(facts.sessionId);
    }
  }

  /** Ends all of them, and begins no more. */
  async endAll(): Promise<void> {
    this.#isEnding = true;
    await Promise.allSettled(Array.from(this.#starting.values(), ({ session }) => session));
    await Promise.allSettled(Array.from(this.#entries.keys(), (sessionId) => this.end(sessionId)));
  }

  async #start(wanted: WantedSession, settings: SessionSettings): Promise<Session> {
    const { clock, pipes, table, env } = this.#parts;
    const { session_id: sessionId, mode, cols, rows } = wanted;
    const {
      argv,
      cwd,
      env: environment,
      text,
    } = await resolveCommand(wanted, { sessionId, shell: settings.shell, env });
    const { ttlMs, ringBytes } = settings;
    const facts = {
      sessionId,
      mode,
      command: text,
      cwd,
      size: { cols, rows },
      createdBy: wanted.created_by,
      createdByName: wanted.created_by_name,
      ttlMs,
      ringBytes,
    };
    const session = new Session(facts, clock);
    const options = { argv, cwd, env: environment, cols, rows, clock, onOutput: session.printed };
    const process = mode === 'pty' ? await startTerminal(options) : await startPiped(options, pipes);
    const identity = table.identify(process.pid);
    session.run(process);
    this.#entries.set(sessionId, { session, identity });
    return session;
  }

  async #endProcesses(session: Session, leader: ProcessIdentity | undefined): Promise<void> {
    const { table, clock } = this.#parts;
    const isRunning = session.exit === undefined;
    // What a shell does when its terminal is gone; a shell hears no SIGTERM.
    if (isRunning) session.signal('SIGHUP');
    const options = { table, clock, killGraceMs: AGENT_LIMITS.sessionKillGraceMs };
    await endTaskProcesses({ taskId: session.facts.sessionId, leader, leaderIsOurs: isRunning }, options);
    await session.hangUp();
  }

  #requireRoom(createdBy: string, { runningMax, runningOfOneMax }: SessionSettings): void {
    if (this.running >= runningMax)
      throw new ControlError('queue_full', `sessions.max: ${runningMax} sessions run on this agent already`);
    const own = [
      ...this.#running().map(({ facts }) => facts.createdBy),
      ...Array.from(this.#starting.values(), (one) => one.createdBy),
    ].filter((one) => one === createdBy);
    if (own.length >= runningOfOneMax)
      throw new ControlError(
        'queue_full',
        `sessions.max_per_user: ${createdBy} has ${own.length} sessions on this agent`,
      );
  }

  #running(): Session[] {
    return Array.from(this.#entries.values(), ({ session }) => session).filter(({ exit }) => exit === undefined);
  }

  #entry(sessionId: string): Entry {
    const entry = this.#entries.get(sessionId);
    if (entry === undefined) throw new ControlError('session_not_found', `there is no session ${sessionId}`);
    return entry;
  }
}
