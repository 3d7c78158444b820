import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Tunnel, untilAborted } from '@drawbridge/link';
import type { Channel, Clock } from '@drawbridge/link';
import { CloseReason, ControlError, LIMITS } from '@drawbridge/protocol';
import { frameSocket, withDeadline } from '@drawbridge/runtime';
import type { Logger } from '@drawbridge/runtime';
import { AGENT_LIMITS } from '../limits.ts';
import { errnoOf } from '../tasks/errno.ts';
import { ask } from './host-request.ts';
import type { HostRequest } from './host-request.ts';
import { hostSocketOf, sessionsDirOf } from './host-socket.ts';

const HOST_PROGRAM = fileURLToPath(new URL('./host-main.ts', import.meta.url));

/** What says that nobody listens at a path. */
const NOBODY: ReadonlySet<string> = new Set(['ENOENT', 'ECONNREFUSED']);

export interface HostClientOptions {
  readonly dataDir: string;
  /** All that the host, and with it every session, may know of the environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The agent's end of its session host: connected to when it is needed, started when it is not there. */
export class HostClient implements AsyncDisposable {
  readonly #options: HostClientOptions;
  #tunnel: Tunnel | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: HostClientOptions) {
    this.#options = options;
  }

  /** One request to a host that is there; undefined when there is none. Rejects with ControlError. */
  async askIfThere(request: HostRequest, signal: AbortSignal): Promise<unknown> {
    const tunnel = await this.#connected(false, signal);
    return tunnel === undefined ? undefined : this.#ask(tunnel, request, signal);
  }

  /** One request, to a host that is started if need be. A request that can be repeated is, when the host ended just then. */
  async ask(request: HostRequest, signal: AbortSignal): Promise<unknown> {
    const tunnel = await this.#connected(true, signal);
    try {
      return await this.#ask(tunnel, request, signal);
    } catch (error) {
      if (!isLost(error) || signal.aborted) throw error;
      // Whatever became of it, the next attempt goes to a host that answers.
      if (this.#tunnel === tunnel) this.#tunnel = undefined;
      tunnel.close(CloseReason.UnexpectedDisconnect, 'the session host is lost');
      return this.#ask(await this.#connected(true, signal), request, signal);
    }
  }

  /** Opens a channel to a session. Rejects with ControlError `session_not_found`, also when there is no host. */
  async attach(metadata: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<Channel> {
    const tunnel = await this.#connected(false, signal);
    if (tunnel === undefined) throw new ControlError('session_not_found', 'there are no sessions on this agent');
    return tunnel.open({ protocol: 'session', metadata }, signal);
  }

  /** Lets the host go; its sessions stay. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#turn;
    this.#tunnel?.close(CloseReason.Ok, 'the agent is gone');
    await this.#tunnel?.ended;
  }

  async #ask(tunnel: Tunnel, request: HostRequest, signal: AbortSignal): Promise<unknown> {
    return ask(await tunnel.open({ protocol: 'request' }, signal), request, signal);
  }

  #connected(starts: true, signal: AbortSignal): Promise<Tunnel>;
  #connected(starts: boolean, signal: AbortSignal): Promise<Tunnel | undefined>;
  #connected(starts: boolean, signal: AbortSignal): Promise<Tunnel | undefined> {
    // One after the other: two at the same time would start two hosts.
    const turn = this.#turn.then(() => this.#tunnel ?? this.#connect(starts));
    this.#turn = turn.catch(() => undefined);
    return untilAborted(turn, signal);
  }

  async #connect(starts: boolean): Promise<Tunnel | undefined> {
    const { clock, log } = this.#options;
    const path = hostSocketOf(this.#options.dataDir);
    const socket = (await dial(path)) ?? (starts ? await this.#start(path) : undefined);
    if (socket === undefined) return undefined;
    const maxPayloadBytes = LIMITS.frameHeaderBytes + LIMITS.framePayloadBytesMax;
    const tunnel = new Tunnel({
      socket: frameSocket(socket, { role: 'client', maxPayloadBytes, clock }),
      opens: 'odd',
      clock,
    });
    this.#tunnel = tunnel;
    tunnel.ended
      .then(({ reason }) => {
        if (this.#tunnel === tunnel) this.#tunnel = undefined;
        log.info({ reason }, 'session host gone');
      })
      .catch(() => undefined);
    return tunnel;
  }

  /** Starts a host that does not belong to this process any more, and waits until it answers. */
  async #start(path: string): Promise<Socket> {
    const { dataDir, env, clock, log } = this.#options;
    const dir = sessionsDirOf(dataDir);
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const logFile = openSync(join(dir, 'host.log'), 'a', 0o600);
    const child = spawn(process.execPath, [...process.execArgv, HOST_PROGRAM, dataDir], {
      cwd: dir,
      env,
      detached: true,
      stdio: ['ignore', 'ignore', logFile],
    });
    closeSync(logFile);
    child.unref();
    const ended = new AbortController();
    once(child, 'exit').then(
      ([code, by]) => ended.abort(notStarted(`it ended with ${code ?? by}: see ${join(dir, 'host.log')}`)),
      (error: unknown) => ended.abort(notStarted(error instanceof Error ? error.message : String(error))),
    );
    const timeoutMs = AGENT_LIMITS.sessionHostStartMs;
    const onTimeout = () => notStarted(`no answer within ${timeoutMs / 1000} s`);
    return withDeadline({ clock, timeoutMs, onTimeout }, ended.signal, async (limit) => {
      for (;;) {
        const socket = await dial(path);
        if (socket !== undefined) {
          log.info({ pid: child.pid }, 'session host started');
          return socket;
        }
        await clock.sleep(AGENT_LIMITS.sessionHostStartPollMs, limit);
      }
    });
  }
}

function notStarted(reason: string): ControlError {
  return new ControlError('spawn_failed', `the session host did not start: ${reason}`);
}

function isLost(error: unknown): boolean {
  return error instanceof ControlError && (error.code === 'tunnel_unavailable' || error.code === 'agent_error');
}

/** Undefined when nobody listens there. */
async function dial(path: string): Promise<Socket | undefined> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return socket;
  } catch (error) {
    if (NOBODY.has(errnoOf(error) ?? '')) return undefined;
    throw new ControlError('agent_error', `the session host cannot be reached: ${String(error)}`, { cause: error });
  }
}
