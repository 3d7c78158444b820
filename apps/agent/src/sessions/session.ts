import { withTimeout } from '@drawbridge/link';
import type { Clock } from '@drawbridge/link';
import { ControlError } from '@drawbridge/protocol';
import type { SessionInfo, TerminalSize, SessionMode, SessionSignal } from '@drawbridge/protocol';
import { AGENT_LIMITS } from '../limits.ts';
import { SessionOutput } from './session-output.ts';
import type { SessionExit, SessionProcess } from './session-process.ts';
import { WriterPace } from './writer-pace.ts';

/** What is fixed about a session when it begins. */
export interface SessionFacts {
  readonly sessionId: string;
  readonly mode: SessionMode;
  /** As it would be typed. */
  readonly command: string;
  readonly cwd: string;
  readonly size: TerminalSize;
  readonly createdBy: string;
  readonly createdByName: string;
  readonly ttlMs: number;
  readonly ringBytes: number;
}

/** Somebody who is attached. */
export interface Viewer {
  readonly actor: string;
  readonly writes: boolean;
  /** The same for all channels of one end; undefined when it does not say. */
  readonly attachId?: string | undefined;
  /** Asks it to leave: somebody else writes from now on. */
  readonly evict: () => void;
}

/** An attached viewer's own place in the output. */
export interface Seat extends Disposable {
  /** The offset of the first byte it has not taken. */
  offset: number;
}

/** One shell, or another program, that stays when nobody looks. */
export class Session {
  readonly facts: SessionFacts;
  readonly output: SessionOutput;
  readonly #clock: Clock;
  readonly #pace: WriterPace;
  readonly #viewers = new Set<Viewer & Seat>();
  readonly #createdMs: number;
  #process: SessionProcess | undefined;
  #size: TerminalSize;
  #writer: (Viewer & Seat) | undefined;
  #exit: (SessionExit & { readonly atMs: number; readonly atMonotonicMs: number }) | undefined;
  /** Since when nobody is attached, by `clock.monotonic()`. */
  #aloneSinceMs: number;

  constructor(facts: SessionFacts, clock: Clock) {
    this.facts = facts;
    this.#clock = clock;
    this.#size = facts.size;
    this.#createdMs = clock.now();
    this.#aloneSinceMs = clock.monotonic();
    this.output = new SessionOutput(facts.ringBytes);
    const paced = { pause: () => this.#process?.pause(), resume: () => this.#process?.resume() };
    this.#pace = new WriterPace(clock, paced, facts.ringBytes);
  }

  /** For the process: what it has printed. */
  readonly printed = (bytes: Uint8Array, stderr: boolean): void => {
    this.output.append(bytes, stderr);
    const writer = this.#writer;
    if (writer !== undefined) this.#pace.produced(this.output.endOffset - writer.offset);
  };

  /** Takes the process that was started for it. */
  run(process: SessionProcess): void {
    this.#process = process;
    process.exited
      .then((exit) => {
        this.#exit = { ...exit, atMs: this.#clock.now(), atMonotonicMs: this.#clock.monotonic() };
        this.output.end();
      })
      .catch(() => undefined);
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  get exit(): SessionExit | undefined {
    return this.#exit;
  }

  /** How long it has been over; undefined while it runs. */
  get overMs(): number | undefined {
    return this.#exit && this.#clock.monotonic() - this.#exit.atMonotonicMs;
  }

  /** True when nobody has been attached for as long as it may stay alone. */
  get isForgotten(): boolean {
    const aloneMs = this.#clock.monotonic() - this.#aloneSinceMs;
    return this.#exit === undefined && this.#viewers.size === 0 && aloneMs >= this.facts.ttlMs;
  }

  /**
   * Takes a viewer in, whose output begins at `since`. Throws ControlError `already_connected` for a second writer that does not take
   * over, and `queue_full`.
   */
  attach(viewer: Viewer, since: number, takeover: boolean): Seat {
    const writer = this.#writer;
    const isBack = viewer.attachId !== undefined && viewer.attachId === writer?.attachId;
    if (viewer.writes && writer !== undefined && !takeover && !isBack)
      throw new ControlError('already_connected', `${writer.actor} is attached to session ${this.facts.sessionId}`);
    if (this.#viewers.size >= AGENT_LIMITS.sessionViewersMax)
      throw new ControlError('queue_full', `session ${this.facts.sessionId} has ${this.#viewers.size} viewers`);
    const seat: Viewer & Seat = {
      ...viewer,
      offset: Math.min(Math.max(since, this.output.startOffset), this.output.endOffset),
      [Symbol.dispose]: () => this.#leave(seat),
    };
    this.#viewers.add(seat);
    if (viewer.writes) {
      this.#writer = seat;
      this.#pace.gone();
      writer?.evict();
    }
    return seat;
  }

  /** The viewer has everything before `offset`. */
  taken(seat: Seat, offset: number): void {
    seat.offset = offset;
    if (seat === this.#writer) this.#pace.taken(this.output.endOffset - offset);
  }

  /** Whether it is this one who writes. */
  isWriter(seat: Seat): boolean {
    return seat === this.#writer;
  }

  /** Resolves when there is room for more. */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.#exit === undefined) await this.#process?.write(bytes);
  }

  endInput(): void {
    if (this.#exit === undefined) this.#process?.endInput();
  }

  resize(size: TerminalSize): void {
    this.#size = { cols: size.cols, rows: size.rows };
    if (this.#exit === undefined) this.#process?.resize(size);
  }

  signal(name: SessionSignal): void {
    if (this.#exit === undefined) this.#process?.signal(name);
  }

  /** Lets go of a process that was told to end. Resolves when it has exited, or would not for as long as `killWaitMs`. */
  async hangUp(): Promise<void> {
    const process = this.#process;
    if (process === undefined) return;
    process.hangUp();
    const onTimeout = () => new ControlError('process_failed', 'it does not end');
    await withTimeout(this.#clock, AGENT_LIMITS.killWaitMs, process.exited, onTimeout).catch(() => undefined);
    this.output.end();
  }

  info(): SessionInfo {
    const { facts, output } = this;
    const exit = this.#exit;
    return {
      session_id: facts.sessionId,
      mode: facts.mode,
      command: facts.command,
      cwd: facts.cwd.slice(0, AGENT_LIMITS.sessionDirectoryCharactersMax),
      state: exit === undefined ? 'running' : 'exited',
      pid: this.pid,
      ...this.#size,
      created_at: new Date(this.#createdMs).toISOString(),
      created_by: facts.createdBy,
      created_by_name: facts.createdByName,
      ttl_seconds: facts.ttlMs / 1000,
      ...(exit !== undefined && { exited_at: new Date(exit.atMs).toISOString() }),
      ...(exit?.code !== undefined && { exit_code: exit.code }),
      ...(exit?.signal !== undefined && { signal: exit.signal }),
      output_bytes: output.endOffset,
      output_since: output.startOffset,
      viewers: this.#viewers.size,
      ...(this.#writer !== undefined && { writer: this.#writer.actor }),
    };
  }

  #leave(seat: Viewer & Seat): void {
    if (!this.#viewers.delete(seat)) return;
    if (this.#viewers.size === 0) this.#aloneSinceMs = this.#clock.monotonic();
    if (seat !== this.#writer) return;
    this.#writer = undefined;
    this.#pace.gone();
  }
}
