import { unreachable } from '@drawbridge/protocol';
import type { SpliceEnd } from '@drawbridge/runtime/splice';
import { explain } from '../explain.ts';
import { colour, line, plain, printJson } from '../output.ts';
import { truncate } from '../text-width.ts';
import { bytesText } from './bytes-text.ts';
import { addressText, targetText } from './forward-spec.ts';
import type { Forward } from './forward-spec.ts';
import { isLost } from './local-port.ts';
import type { Carried, ConnectionListener, LocalPort } from './local-port.ts';
import type { KeeperEvent } from './tunnel-keeper.ts';

const IDLE = 'idle: the next connection asks for another tunnel';

/** Numbers of a forward, all its ports together. */
export interface Totals extends Carried {
  /** The round trip to the agent. */
  readonly rttMs: number | undefined;
}

/** Who is told what a forward does: JSON lines, or lines for people, with a status line below them on a terminal. */
export class ForwardReport implements ConnectionListener {
  readonly #agent: string;
  readonly #json: boolean;
  readonly #totals: () => Totals;
  /** Where the status line is; undefined where there is none. */
  readonly #screen: NodeJS.WriteStream | undefined;
  #state = '';
  #connections = 0;
  #shown = false;
  /** Connections that were lost since the last line about it, by the reason. */
  readonly #losses = new Map<string, number>();

  constructor(options: {
    agent: string;
    json: boolean;
    totals: () => Totals;
    screen?: NodeJS.WriteStream | undefined;
  }) {
    this.#agent = options.agent;
    this.#json = options.json;
    this.#totals = options.totals;
    this.#screen = options.json ? undefined : options.screen;
  }

  listening({ address, forward }: LocalPort): void {
    const { host, port } = address;
    const target = targetText(forward.target);
    if (this.#json) return printJson({ type: 'listening', host, port, target });
    this.#clear();
    process.stdout.write(line(`${addressText(host, port)} -> ${this.#agent} ${target}`));
  }

  keeper(event: KeeperEvent): void {
    switch (event.is) {
      case 'opened':
        this.#state = colour('green', 'connected', process.stderr);
        return this.#say(
          { type: 'tunnel', tunnel_id: event.tunnelId },
          `connected to ${this.#agent} · tunnel ${event.tunnelId}`,
        );
      case 'connected':
        this.#state = colour('green', 'connected', process.stderr);
        return this.#say({ type: 'connected' }, 'connected again, nothing is lost', 'green');
      case 'reconnecting':
        this.#state = colour('yellow', 'reconnecting …', process.stderr);
        // One line for each loss: the attempts after the first one are the status line's.
        if (event.waitMs > 0 && !this.#json) return this.#draw();
        return this.#say(
          { type: 'reconnecting', reason: event.reason, wait_ms: event.waitMs },
          `${event.reason}: reconnecting …`,
          'yellow',
        );
      case 'ended': {
        const { code, reason } = event.end;
        this.#state = colour('yellow', 'no tunnel', process.stderr);
        return this.#say({ type: 'ended', code, reason }, `the tunnel is over: ${reason}`, 'yellow');
      }
      case 'waiting': {
        const text = `waiting for ${this.#agent}: ${plain(event.reason)}`;
        const isNews = !this.#state.includes(text);
        this.#state = colour('yellow', text, process.stderr);
        if (this.#json) return printJson({ type: 'waiting', reason: event.reason, wait_ms: event.waitMs });
        return isNews && this.#screen === undefined ? this.#say({}, text, 'yellow') : this.#draw();
      }
      case 'idle':
        this.#state = colour('dim', IDLE, process.stderr);
        return this.#say({ type: 'idle' }, IDLE);
      default:
        return unreachable(event);
    }
  }

  opened(forward: Forward): void {
    this.#connections += 1;
    if (this.#json) printJson({ type: 'opened', target: targetText(forward.target) });
  }

  refused({ target }: Forward, error: unknown): void {
    const { code, message } = explain(error, process.env);
    this.#say(
      { type: 'refused', target: targetText(target), code, message },
      message.includes(targetText(target)) ? `refused: ${message}` : `refused: ${targetText(target)}: ${message}`,
      'red',
    );
  }

  ended({ target }: Forward, end: SpliceEnd): void {
    const { code, reason } = end.end;
    const facts = { target: targetText(target), code, bytes_up: end.bytesToChannel, bytes_down: end.bytesToSocket };
    if (this.#json) return printJson({ type: 'closed', ...facts, reason });
    if (isLost(end)) this.#losses.set(reason, (this.#losses.get(reason) ?? 0) + 1);
  }

  /** The last word: how much was carried. */
  summary({ bytesUp, bytesDown }: Totals): void {
    this.tick();
    const connections = this.#connections;
    const text = `${count(connections, 'connection')} · ${bytesText(bytesUp)} up, ${bytesText(bytesDown)} down`;
    this.#say({ type: 'summary', connections, bytes_up: bytesUp, bytes_down: bytesDown }, text);
    this.#clear();
  }

  /** Says what is to be said of many things at once, and draws the status line anew. */
  tick(): void {
    const losses = [...this.#losses];
    this.#losses.clear();
    for (const [reason, lost] of losses) this.#say({}, `${count(lost, 'connection')} lost: ${reason}`, 'yellow');
    this.#draw();
  }

  #draw(): void {
    if (this.#screen === undefined || this.#state === '') return;
    const { open, bytesUp, bytesDown, rttMs } = this.#totals();
    const parts = [
      this.#state,
      `${open} open, ${this.#connections} in all`,
      `${bytesText(bytesUp)} up, ${bytesText(bytesDown)} down`,
      ...(rttMs === undefined ? [] : [`${rttMs < 10 ? rttMs.toFixed(1) : Math.round(rttMs)} ms`]),
    ];
    const width = this.#screen.columns ?? 80;
    this.#screen.write(`\r\u001b[2K${fit(parts.join(' · '), width - 1)}`);
    this.#shown = true;
  }

  #say(document: object, text: string, style: 'dim' | 'green' | 'yellow' | 'red' = 'dim'): void {
    if (this.#json) return printJson(document);
    this.#clear();
    process.stderr.write(`${colour(style, plain(text), process.stderr)}\n`);
    this.#draw();
  }

  #clear(): void {
    if (this.#shown) this.#screen?.write('\r\u001b[2K');
    this.#shown = false;
  }
}

/** Shortened where the screen is narrower; then without its colours. */
function fit(text: string, columns: number): string {
  const bare = plain(text);
  const short = truncate(bare, columns);
  return short === bare ? text : short;
}

function count(number: number, what: string): string {
  return `${number.toLocaleString('en')} ${what}${number === 1 ? '' : 's'}`;
}
