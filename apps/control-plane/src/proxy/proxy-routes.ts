import { METHODS } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import type { Clock } from '@drawbridge/link';
import { ControlError } from '@drawbridge/protocol';
import { actorOf } from '../http/authenticate.ts';
import { callerOf } from '../http/edge-hook.ts';
import { noteAudit, permit } from '../http/permit.ts';
import { takesItsTime } from '../http/request-time.ts';
import { untilClosed } from '../http/until-closed.ts';
import type { TokenBuckets } from '../limits/token-buckets.ts';
import { actorText } from '../operators/actor.ts';
import { askBackend } from './ask-backend.ts';
import type { BackendConnections } from './backend-connections.ts';
import { PROXY_LIMITS } from './limits.ts';
import { relayBody, writeHead } from './relay-answer.ts';
import { requireBearer } from './require-bearer.ts';
import { PROXY_VERB } from './sandbox-door.ts';
import type { Pass, SandboxDoor } from './sandbox-door.ts';
import { parseSandboxPath, rawUrlOf } from './sandbox-path.ts';
import type { SandboxAddress } from './sandbox-path.ts';
import { StallGuard } from './stall-guard.ts';

const PATHS = ['/sandboxes/:sandbox/proxy/:port', '/sandboxes/:sandbox/proxy/:port/*'];

export interface ProxyRouteParts {
  readonly door: SandboxDoor;
  readonly connections: BackendConnections;
  readonly clock: Clock;
  /** Requests of one account or token: those that are turned away count, those that are let in have bounds of their own. */
  readonly requests: TokenBuckets;
}

/** Requests to services behind agents: what comes is passed on as it is, and so is the answer. */
export function proxyRoutes(parts: ProxyRouteParts): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    const methods = METHODS.filter((method) => method !== 'CONNECT');
    for (const method of methods) if (!app.supportedMethods.includes(method)) app.addHttpMethod(method);
    for (const url of PATHS.flatMap((path) => [path, `/v1${path}`])) {
      app.route({
        method: methods,
        url,
        exposeHeadRoute: false,
        schema: { hide: true },
        config: { verb: PROXY_VERB, audit: false, isMetered: false },
        // The body is the service's: it is served before anybody here looks at what it is.
        preParsing: (request, reply) => serve(request, reply, parts),
        handler: () => {
          throw new Error('a proxied request is served before its body is parsed');
        },
      });
    }
    done();
  };
}

/** Decides before anything is dialled, asks the service, and hands the answer over once its head is there. */
async function serve(request: FastifyRequest, reply: FastifyReply, parts: ProxyRouteParts): Promise<void> {
  const { door } = parts;
  const address = parseSandboxPath(rawUrlOf(request.raw));
  if (address === undefined) throw new ControlError('not_found', 'no port is served under this path');
  requireBearer(request.raw);
  requirePlain(request.raw);
  noteAudit(request, { details: { port: address.port, via: 'proxy' } });
  using pass = await enter(request, door, address).catch((error: unknown) => {
    parts.requests.take(actorText(actorOf(request)));
    throw error;
  });
  try {
    await relay(request, reply, { parts, address, pass });
  } catch (error) {
    if (!reply.raw.destroyed) throw error;
    // Nobody is left to be told.
    reply.hijack();
  }
}

async function enter(request: FastifyRequest, door: SandboxDoor, address: SandboxAddress): Promise<Pass> {
  const sandbox = await door.find(address);
  const actor = permit(request, sandbox.resource);
  return door.enter({ actor, address: request.ip, requestId: request.id }, sandbox);
}

/** Throws ControlError `protocol_error` for what no parser before us and behind us would read alike. */
function requirePlain({ headers }: IncomingMessage): void {
  const { upgrade = '', 'transfer-encoding': encoding = 'chunked' } = headers;
  if (/\bwebsocket\b/i.test(upgrade)) throw new ControlError('protocol_error', 'this is no WebSocket handshake');
  if (encoding.toLowerCase() !== 'chunked')
    throw new ControlError('protocol_error', `Transfer-Encoding ${JSON.stringify(encoding)} is not served`);
}

interface Relay {
  readonly parts: ProxyRouteParts;
  readonly address: SandboxAddress;
  readonly pass: Pass;
}

/** Resolves once the answer is over, however it ends. */
async function relay(request: FastifyRequest, reply: FastifyReply, { parts, address, pass }: Relay): Promise<void> {
  // It has left meanwhile, and says so no more.
  if (reply.raw.destroyed) throw new Error('the client has gone');
  const { clock, connections } = parts;
  const { backend } = pass;
  const stalled = new AbortController();
  using guard = new StallGuard(clock, PROXY_LIMITS.answerTimeoutMs, () => stalled.abort(tooSlow(backend.port)));
  takesItsTime(request.raw, reply.raw);
  lingerAfter(request.raw, reply, clock);
  const signal = AbortSignal.any([untilClosed(reply), pass.signal, stalled.signal]);
  const question = {
    client: request.raw,
    reply: reply.raw,
    backend,
    target: address.target,
    from: callerOf(request),
    guard,
  };
  const answered = await askBackend(question, connections, signal);
  const isPage = request.headers['sec-fetch-mode'] !== undefined || request.headers.origin !== undefined;
  try {
    writeHead({ ...answered, reply: reply.raw, isPage });
  } catch (error) {
    answered.request.destroy();
    throw error;
  }
  reply.hijack();
  await relayBody({ ...answered, reply: reply.raw, moved: () => guard.moved() });
}

/** A client may go on sending long after it was answered: for a while, so that it gets to read the answer. */
function lingerAfter(client: IncomingMessage, reply: FastifyReply, clock: Clock): void {
  reply.raw.once('finish', () => {
    if (client.complete) return;
    client.resume();
    const linger = clock.after(PROXY_LIMITS.lingerMs, () => client.socket.destroy());
    client.once('close', () => linger.cancel());
  });
}

function tooSlow(port: number): ControlError {
  return new ControlError('timed_out', `nothing has come from the service on port ${port} for too long`);
}
