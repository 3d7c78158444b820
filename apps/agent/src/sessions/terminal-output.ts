import { Duplex } from 'node:stream';
import type { Clock, Timer } from '@drawbridge/link';
import type { IPty } from '@lydell/node-pty';
import { AGENT_LIMITS } from '../limits.ts';

/** A terminal whose process has exited is read until it has been silent for this long: a child of it may hold it open for ever. */
const SILENCE_MS = 100;

/**
 * What a terminal prints, held back and let go on. node-pty keeps its stream to itself, and drops it 200 ms after the exit, whether all has been
 * read or not: here what the process has printed is read first, also when it was held back.
 */
export class TerminalOutput {
  readonly #stream: Duplex;
  readonly #clock: Clock;
  readonly #drop: () => void;
  #isDraining = false;

  /** `onGone` is called right before the terminal's descriptor is closed: from then on its number may be somebody else's. */
  constructor(pty: IPty, clock: Clock, onGone: () => void) {
    const stream: unknown = Reflect.get(pty, '_socket');
    if (!(stream instanceof Duplex)) throw new Error('node-pty has no stream any more');
    this.#stream = stream;
    this.#clock = clock;
    const destroy = stream.destroy.bind(stream);
    const drop = (error?: Error) => {
      onGone();
      return destroy(error);
    };
    this.#drop = drop;
    stream.destroy = (error?: Error) => {
      if (error !== undefined || stream.readableEnded || this.#isDraining) return drop(error);
      this.#drain(drop);
      return stream;
    };
  }

  /** Does nothing once the process has exited: what is left has to be read now. */
  pause(): void {
    if (!this.#isDraining) this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  /** Lets go of the terminal, read or not: the system sends SIGHUP to whatever is still on it. */
  hangUp(): void {
    this.#drop();
  }

  #drain(drop: () => void): void {
    this.#isDraining = true;
    const wait = (): Timer => this.#clock.after(SILENCE_MS, drop);
    const limit = this.#clock.after(AGENT_LIMITS.pipeDrainMs, drop);
    let silence = wait();
    this.#stream.on('data', () => {
      silence.cancel();
      silence = wait();
    });
    this.#stream.once('close', () => {
      silence.cancel();
      limit.cancel();
    });
    this.#stream.resume();
  }
}

/** The master side of the terminal: without a name in node-pty's types. */
export function descriptorOf(pty: IPty): number {
  const fd: unknown = Reflect.get(pty, 'fd');
  if (typeof fd !== 'number') throw new Error('node-pty has no descriptor any more');
  return fd;
}
