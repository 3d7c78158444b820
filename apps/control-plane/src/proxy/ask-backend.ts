import type { ClientRequest, IncomingMessage, InformationEvent, ServerResponse } from 'node:http';
import { ControlError } from '@drawbridge/protocol';
import type { Backend, BackendConnections } from './backend-connections.ts';
import { carryBody } from './body-flow.ts';
import { isChunked, requestHeaders, trailers } from './header-rules.ts';
import type { Forwarded } from './header-rules.ts';
import { PROXY_LIMITS } from './limits.ts';
import type { StallGuard } from './stall-guard.ts';

/** A client's request on its way to a service. */
export interface Question {
  readonly client: IncomingMessage;
  /** Where interim answers go. */
  readonly reply: ServerResponse;
  readonly backend: Backend;
  readonly target: string;
  readonly from: Forwarded;
  readonly guard: StallGuard;
}

/** A request whose answer has begun. */
export interface Answered {
  readonly request: ClientRequest;
  readonly answer: IncomingMessage;
}

/** What may be sent twice (RFC 9110 §9.2.1). */
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);
const EARLY_HINTS = 103;
/**
 * One link of a hint, as pages have them. Node's own check of it takes time without end for some that are made for that, so nothing else
 * comes so far.
 */
const LINK = /^<[^<>"\s]{1,1024}>(?:; ?[a-z]{1,32}(?:=[\w+./-]{1,64}|="[\w+./-]{1,64}")?){0,8}$/;

/**
 * Sends a client's request to a service, its body as it comes, and resolves with the head of the answer. Rejects with ControlError:
 * what the agent refuses the connection with; `target_unreachable` when the service hangs up, or answers with what is no HTTP. An abort
 * ends the request, and later the answer.
 */
export async function askBackend(
  question: Question,
  connections: BackendConnections,
  signal: AbortSignal,
): Promise<Answered> {
  for (;;) {
    const attempt = new Attempt(question, connections, signal);
    try {
      return await attempt.answered;
    } catch (error) {
      signal.throwIfAborted();
      // Each try uses up an idle connection that is gone, and of these there are few.
      if (attempt.wasStale) continue;
      throw attempt.isConnected ? broken(question.backend, error) : error;
    }
  }
}

/** Whether a request has a body, however short. */
function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

class Attempt {
  readonly answered: Promise<Answered>;
  readonly #question: Question;
  readonly #request: ClientRequest;
  #interims = 0;

  constructor(question: Question, connections: BackendConnections, signal: AbortSignal) {
    const { client, backend, target, from } = question;
    const method = client.method ?? 'GET';
    const isRepeatable = SAFE_METHODS.has(method) && !hasBody(client);
    const headers = requestHeaders(client, from, backend);
    this.#question = question;
    this.#request = connections.request({ backend, method, target, headers, isRepeatable }, signal);
    this.answered = this.#untilAnswered(signal);
    if (hasBody(client)) this.#sendBody();
    else this.#request.end();
  }

  /** The connection had served before, and was closed by the service before it answered. */
  get wasStale(): boolean {
    return this.#request.reusedSocket;
  }

  get isConnected(): boolean {
    return this.#request.socket !== null;
  }

  #untilAnswered(signal: AbortSignal): Promise<Answered> {
    const request = this.#request;
    const { guard } = this.#question;
    return new Promise((resolve, reject) => {
      const aborted = () => request.destroy(asError(signal.reason));
      if (signal.aborted) aborted();
      signal.addEventListener('abort', aborted, { once: true });
      request.once('close', () => signal.removeEventListener('abort', aborted));
      // Stays for good: what breaks later is told by the answer.
      request.on('error', reject);
      request.once('upgrade', (_answer, socket) => {
        socket.destroy();
        reject(new Error('it changed the protocol, which nobody has asked it to'));
      });
      request.on('continue', () => this.#tellContinue());
      request.on('information', (interim) => this.#tellHints(interim));
      request.once('response', (answer) => {
        guard.allow(PROXY_LIMITS.stalledMs);
        resolve({ request, answer });
      });
    });
  }

  #sendBody(): void {
    const { client, guard } = this.#question;
    const request = this.#request;
    const flow = carryBody(client, request, () => guard.moved());
    guard.allow(PROXY_LIMITS.stalledMs);
    request.once('close', () => flow.stop());
    client.once('end', () => {
      if (request.destroyed) return;
      if (isChunked(client.rawHeaders)) request.addTrailers(trailers(client.rawTrailers));
      request.end();
      guard.allow(PROXY_LIMITS.answerTimeoutMs);
    });
  }

  /** Node says it by itself to nobody whose question is proxied (see `askToContinue`). */
  #tellContinue(): void {
    const { client, reply } = this.#question;
    if (client.headers.expect !== undefined && this.#mayInterrupt()) reply.writeContinue();
  }

  #tellHints({ statusCode, headers }: InformationEvent): void {
    const { reply } = this.#question;
    const links = [headers.link ?? []].flat().flatMap((link) => link.split(/, ?(?=<)/));
    if (statusCode !== EARLY_HINTS || links.length === 0 || !this.#mayInterrupt()) return;
    if (links.length > PROXY_LIMITS.linksPerHintMax || !links.every((link) => LINK.test(link))) return;
    try {
      reply.writeEarlyHints({ link: links });
    } catch {
      // Hints that Node would not write are none; the answer comes all the same.
    }
  }

  /** A few interim answers, to who understands and reads them: more would be a flood that nobody waits for. */
  #mayInterrupt(): boolean {
    const { client, reply } = this.#question;
    if (client.httpVersionMinor === 0 || reply.headersSent || reply.writableNeedDrain) return false;
    this.#interims += 1;
    return this.#interims <= PROXY_LIMITS.interimAnswersMax;
  }
}

function broken({ port }: Backend, cause: unknown): ControlError {
  const reason = cause instanceof Error ? cause.message : 'it hung up';
  return new ControlError('target_unreachable', `the service on port ${port} did not answer in HTTP: ${reason}`, {
    cause,
  });
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
