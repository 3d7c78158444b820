import { ControlError, OPERATIONS, SessionInfo } from '@drawbridge/protocol';
import type { Channel } from '@drawbridge/link';
import type { HostClient } from './host-client.ts';
import type { SessionSettings, WantedSession } from './session-table.ts';

/** The sessions of this machine, as the agent sees them: its session host has them. */
export class AgentSessions {
  readonly #host: HostClient;
  readonly #settings: SessionSettings;
  #running = 0;

  constructor(host: HostClient, settings: SessionSettings) {
    this.#host = host;
    this.#settings = settings;
  }

  /** Sessions that run, as of a moment ago: asking looks again for the next time. */
  get running(): number {
    this.list(AbortSignal.timeout(5000)).catch(() => undefined);
    return this.#running;
  }

  async create(session: WantedSession, signal: AbortSignal): Promise<SessionInfo> {
    const request = { operation: 'create', params: { session, settings: this.#settings } } as const;
    return SessionInfo.parse(await this.#host.ask(request, signal));
  }

  async list(signal: AbortSignal): Promise<{ items: SessionInfo[] }> {
    const answer = await this.#host.askIfThere({ operation: 'list', params: {} }, signal);
    const { items } = answer === undefined ? { items: [] } : OPERATIONS['session.list'].result.parse(answer);
    this.#running = items.filter(({ state }) => state === 'running').length;
    return { items };
  }

  async get(sessionId: string, signal: AbortSignal): Promise<SessionInfo> {
    return this.#ofOne('get', sessionId, signal);
  }

  /** Ends its processes, and forgets it. */
  async end(sessionId: string, signal: AbortSignal): Promise<SessionInfo> {
    return this.#ofOne('end', sessionId, signal);
  }

  attach(metadata: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<Channel> {
    return this.#host.attach(metadata, signal);
  }

  async #ofOne(operation: 'get' | 'end', sessionId: string, signal: AbortSignal): Promise<SessionInfo> {
    const answer = await this.#host.askIfThere({ operation, params: { session_id: sessionId } }, signal);
    if (answer === undefined) throw new ControlError('session_not_found', `there is no session ${sessionId}`);
    return SessionInfo.parse(answer);
  }
}
