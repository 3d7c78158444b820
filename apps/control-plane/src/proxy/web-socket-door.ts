import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import type { Clock } from '@drawbridge/link';
import { ControlError } from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import type { Caller } from '../edge/edge.ts';
import { actorText } from '../operators/actor.ts';
import type { Actor } from '../operators/actor.ts';
import { LEG_OPTIONS, dialWebSocket } from './backend-web-socket.ts';
import type { BackendConnections } from './backend-connections.ts';
import { endOfError } from './close-codes.ts';
import { relayMessages } from './relay-messages.ts';
import type { Pass, Sandbox, SandboxDoor, Visit } from './sandbox-door.ts';
import type { SandboxAddress } from './sandbox-path.ts';
import type { WebSocketHandshake } from './web-socket-handshake.ts';

/** A client that wants a WebSocket, and has said who it is. */
export interface WebSocketVisit {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly caller: Caller;
  readonly actor: Actor;
  readonly address: SandboxAddress;
  readonly handshake: WebSocketHandshake;
}

export interface WebSocketDoorOptions {
  readonly door: SandboxDoor;
  readonly connections: BackendConnections;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * WebSockets to services behind agents. The service is asked first, and the client accepted with what it has chosen; who is refused is
 * accepted too and closed at once, because a browser reads the code and the reason of a close, and nothing of an HTTP answer.
 */
export class WebSocketDoor {
  readonly #options: WebSocketDoorOptions;

  constructor(options: WebSocketDoorOptions) {
    this.#options = options;
  }

  /** Resolves once the WebSocket is over, and never rejects for what somebody else did. */
  async serve(visit: WebSocketVisit): Promise<void> {
    const gone = new AbortController();
    const leave = () => gone.abort(new Error('the client has gone'));
    visit.socket.once('close', leave);
    try {
      using pass = await this.#enter(visit);
      await this.#relay(visit, pass, gone.signal);
    } catch (error) {
      if (gone.signal.aborted) return;
      this.#options.log.debug({ ...factsOf(visit), err: error }, 'proxied WebSocket refused');
      const { code, reason } = endOfError(error);
      // Some clients would rather see no close at all than a server that chose none of what they offered.
      (await accept(visit, visit.handshake.subprotocols[0])).close(code, reason);
    } finally {
      visit.socket.off('close', leave);
    }
  }

  async #enter({ actor, caller, address }: WebSocketVisit): Promise<Pass> {
    const { door } = this.#options;
    const who: Visit = { actor, address: caller.address, requestId: null };
    const sandbox: Sandbox = await door.find(address);
    try {
      door.authorise(actor, sandbox);
    } catch (error) {
      if (error instanceof ControlError) await door.refused(who, sandbox, error.code);
      throw error;
    }
    return door.enter(who, sandbox);
  }

  async #relay(visit: WebSocketVisit, { backend, signal }: Pass, gone: AbortSignal): Promise<void> {
    const { log, clock } = this.#options;
    const dialling = AbortSignal.any([signal, gone]);
    const service = await dialWebSocket(this.#options, backend, visit.handshake, dialling);
    let ws: WebSocket;
    try {
      ws = await accept(visit, service.subprotocol);
    } catch (error) {
      service.ws.terminate();
      throw error;
    }
    const facts = { ...factsOf(visit), agentId: backend.agentId };
    log.info(facts, 'proxied WebSocket open');
    // From here on the client says itself how it has gone.
    const ends = await relayMessages({ client: { ws, socket: visit.socket }, service, clock }, signal);
    log.info({ ...facts, clientCode: ends.client.code, serviceCode: ends.service.code }, 'proxied WebSocket closed');
  }
}

function factsOf({ actor, address: { sandbox, port } }: WebSocketVisit) {
  return { sandbox, port, actor: actorText(actor) };
}

/** Rejects when the client has gone meanwhile. */
function accept({ request, socket, head }: WebSocketVisit, subprotocol: string | undefined): Promise<WebSocket> {
  const server = new WebSocketServer({
    ...LEG_OPTIONS,
    noServer: true,
    clientTracking: false,
    handleProtocols: () => subprotocol ?? false,
  });
  return new Promise((resolve, reject) => {
    const failed = () => reject(new ControlError('cancelled', 'the client has gone'));
    if (socket.destroyed) return failed();
    socket.once('close', failed);
    return server.handleUpgrade(request, socket, head, (ws) => {
      socket.off('close', failed);
      // How it ends is told by its close.
      ws.on('error', () => undefined);
      resolve(ws);
    });
  });
}
