import { randomUUID } from 'node:crypto';
import { arch, platform, release } from 'node:os';
import { AdaptiveInterval, BACKOFF, stayLinked } from '@drawbridge/link';
import type { BackoffOptions, Clock } from '@drawbridge/link';
import { ControlError } from '@drawbridge/protocol';
import type { HeartbeatPayload, LinkConfigUpdate } from '@drawbridge/protocol';
import { DialError, PROGRAM_VERSION } from '@drawbridge/runtime';
import type { Logger } from '@drawbridge/runtime';
import type { AgentConfig } from '../config.ts';
import type { Journal } from '../journal/journal.ts';
import { AgentLink } from './agent-link.ts';
import type { LinkListener } from './agent-link.ts';
import { dialLink } from './dial-link.ts';
import type { DialledLink, ServerAccess } from './dial-link.ts';

/** The rest of the agent, as the link sees it. */
export interface LinkUser extends LinkListener {
  linkUp(link: AgentLink): void;
  linkDown(): void;
  /** The journal was an old copy and has a new id now. */
  journalReplaced(): void;
  health(): HeartbeatPayload;
}

export interface KeepLinkedOptions {
  readonly access: ServerAccess;
  readonly config: AgentConfig;
  readonly journal: Journal;
  readonly user: LinkUser;
  readonly clock: Clock;
  readonly log: Logger;
  readonly capabilities: readonly string[];
}

const PRESETS = { full_jitter: 'full_jitter', s2: 'added_jitter', s0: 'random_exponent' } as const;

/** Keeps the control link up, and knows what the control plane's clock says. */
export class LinkKeeper {
  readonly #options: KeepLinkedOptions;
  readonly #interval: AdaptiveInterval;
  readonly #instance = randomUUID();
  #serverAheadMs = 0;
  /** The interval the control plane asked for last, in seconds. */
  #askedInterval: number | undefined;
  #link: AgentLink | undefined;

  constructor(options: KeepLinkedOptions) {
    this.#options = options;
    this.#interval = new AdaptiveInterval(options.config.heartbeat.interval * 1000);
  }

  /** What the control plane's clock says now, as learnt from its `hello`. */
  serverNowMs(): number {
    return this.#options.clock.now() + this.#serverAheadMs;
  }

  get intervalMs(): number {
    return this.#interval.intervalMs;
  }

  /**
   * The control plane asks for other settings: returns what is done now. An interval longer than that of the agent's own file is
   * refused with ControlError `operation_not_allowed`: then the agent beats as its file says. A command's time limit comes with the
   * command; `command_timeout` is only what the control plane means to give.
   */
  configure(asked: LinkConfigUpdate): LinkConfigUpdate {
    const { interval } = this.#options.config.heartbeat;
    const { heartbeat_interval: seconds, command_timeout: commandTimeout } = asked;
    if (seconds !== undefined) this.#ask(seconds);
    if (seconds !== undefined && seconds > interval) {
      const message = `heartbeat_interval ${seconds}: heartbeat.interval in this agent's own file allows ${interval} at most`;
      throw new ControlError('operation_not_allowed', message);
    }
    const applied = { heartbeat_interval: this.#interval.intervalMs / 1000 };
    return commandTimeout === undefined ? applied : { ...applied, command_timeout: commandTimeout };
  }

  /** What is asked again and again changes nothing: an interval that was lowered for an impatient proxy stays low. */
  #ask(seconds: number): void {
    if (seconds === this.#askedInterval) return;
    this.#askedInterval = seconds;
    this.#interval.reset(Math.min(seconds, this.#options.config.heartbeat.interval) * 1000);
    this.#link?.setInterval(this.#interval.intervalMs);
  }

  /** Dials again and again until `signal` aborts; rejects with `signal.reason` then, or when attempts are bounded and over. */
  run(signal: AbortSignal): Promise<never> {
    const { clock, log, config } = this.#options;
    return stayLinked(
      {
        dial: (attempt) => this.#dial(attempt),
        backoff: backoffOf(config),
        clock,
        random: Math.random,
        onLost: ({ end, failures, livedMs, waitMs }) => {
          if (end.error instanceof Error) log.error(`Transport error: ${end.error.message}`);
          log.info(
            { failures, livedMs, waitMs, kind: end.kind },
            `Channel closed (${end.reason}). Scheduling backoff.`,
          );
          this.#noteLoss(livedMs);
        },
        onAuthRejected: ({ end, waitMs }) => {
          log.warn({ waitMs }, `Auth rejected (${end.reason}). Delaying retry.`);
          const code = end.error instanceof ControlError ? end.error.code : 'auth_failed';
          if (code === 'server_key_mismatch')
            log.error({ code }, 'THE CONTROL PLANE IS NOT THE ONE THIS AGENT ENROLLED WITH: nothing was told to it');
          else if (end.error instanceof DialError && end.error.httpStatus === 403)
            log.error({ code: 'forbidden' }, `the control plane lets no agent in this way: ${end.reason}`);
          else log.error({ code }, 'the credential of this agent must be rotated: enrol it again');
        },
        onDuplicateIdentity: () =>
          log.error(
            { code: 'duplicate_identity' },
            'another machine uses the identity of this agent: a cloned machine? Enrol one of them anew',
          ),
      },
      signal,
    );
  }

  async #dial(signal: AbortSignal): Promise<AgentLink> {
    const { user, clock, log } = this.#options;
    const dialled = await this.#dialWithCurrentJournal(signal);
    this.#serverAheadMs = Date.parse(dialled.hello.time) - clock.now();
    this.#ask(dialled.accepted.config.heartbeat_interval);
    const link = new AgentLink({
      dialled,
      clock,
      intervalMs: this.#interval.intervalMs,
      listener: user,
      health: () => user.health(),
    });
    this.#link = link;
    const { epoch, session_id: sessionId } = dialled.accepted;
    log.info({ sessionId, epoch, serverAheadMs: this.#serverAheadMs }, 'Relay channel established');
    user.linkUp(link);
    link.ended.then(() => user.linkDown()).catch(() => undefined);
    return link;
  }

  /** When the control plane has seen more of this journal than is in it, it is an old copy: a new id, and once more. */
  async #dialWithCurrentJournal(signal: AbortSignal): Promise<DialledLink> {
    const { journal, user, log } = this.#options;
    const dialled = await this.#dialOnce(signal);
    if (dialled.accepted.last_event_seq <= journal.lastEventSeq) return dialled;
    const { dropped } = journal.rotate();
    log.error({ dropped, journalId: journal.journalId }, 'the journal is an old copy: it goes on under a new id');
    user.journalReplaced();
    dialled.socket.terminate();
    return this.#dialOnce(signal);
  }

  #dialOnce(signal: AbortSignal): Promise<DialledLink> {
    const { access, journal, clock, config, capabilities } = this.#options;
    const facts = {
      version: PROGRAM_VERSION,
      capabilities: [...capabilities],
      journal_id: journal.journalId,
      last_event_seq: journal.lastEventSeq,
      instance: this.#instance,
      os: `${platform()} ${release()}`.slice(0, 128),
      arch: arch(),
      ...(config.agent.name === undefined ? {} : { name: config.agent.name }),
    };
    return dialLink(access, facts, clock, signal);
  }

  #noteLoss(livedMs: number): void {
    const quietMs = this.#link?.quietMs ?? 0;
    this.#link = undefined;
    const lowered = livedMs === 0 ? undefined : this.#interval.lost({ livedMs, quietMs });
    if (lowered === undefined) return;
    this.#options.log.warn(
      lowered,
      'something between here and the control plane hangs up on quiet links: heartbeat interval lowered',
    );
  }
}

function backoffOf({ reconnection }: AgentConfig): BackoffOptions {
  const preset = PRESETS[reconnection.preset];
  if (preset === 'random_exponent') return { ...BACKOFF.random_exponent, attemptsMax: attemptsOf(reconnection) };
  return {
    preset,
    baseMs: reconnection.base_delay * 1000,
    maxMs: reconnection.max_delay * 1000,
    factor: reconnection.factor,
    attemptsMax: attemptsOf(reconnection),
  };
}

function attemptsOf({ enabled, max_attempts: attemptsMax }: AgentConfig['reconnection']): number {
  return enabled ? attemptsMax : 0;
}
