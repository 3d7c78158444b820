import type { ServerResponse } from 'node:http';
import { TLSSocket } from 'node:tls';
import { ControlError } from '@drawbridge/protocol';
import { resetSocket } from '@drawbridge/runtime';
import type { Answered } from './ask-backend.ts';
import { carryBody } from './body-flow.ts';
import { answerHeaders, isChunked, isServable, trailers } from './header-rules.ts';

/** An answer on its way to the client. */
export interface Answer extends Answered {
  readonly reply: ServerResponse;
  /** A browser's page has asked. */
  readonly isPage: boolean;
  /** Called whenever bytes move. */
  readonly moved: () => void;
}

/** Answers that have no body, whatever they say. */
const BODILESS: ReadonlySet<number> = new Set([204, 304]);

/** What may follow a status (RFC 9112 §4): Node would not write anything else. */
const STATUS_TEXT = /^[\t\u0020-\u007e\u0080-\u00ff]*$/;

/** Writes the head of a service's answer. Throws ControlError `target_unreachable` for one that cannot be written; nothing is, then. */
export function writeHead({ answer, reply, isPage }: Pick<Answer, 'answer' | 'reply' | 'isPage'>): void {
  const { statusCode = 0, rawHeaders } = answer;
  const said = answer.statusMessage ?? '';
  const statusMessage = STATUS_TEXT.test(said) ? said : '';
  const { method, httpVersionMinor } = reply.req;
  const takesChunks = method !== 'HEAD' && httpVersionMinor > 0 && !BODILESS.has(statusCode);
  // A service that does not say when it answered does not say it.
  reply.sendDate = false;
  if (!isServable(rawHeaders))
    throw new ControlError('target_unreachable', 'the service answered in another Transfer-Encoding than chunked');
  try {
    reply.writeHead(statusCode, statusMessage, answerHeaders(rawHeaders, { isPage, takesChunks }));
  } catch (cause) {
    // It keeps what it was told, and would fail with it again.
    reply.statusMessage = '';
    throw new ControlError('target_unreachable', 'the answer of the service cannot be passed on', { cause });
  }
}

/**
 * Carries the body of an answer whose head is written, and resolves once it is over. An answer that breaks breaks the client's connection:
 * nobody takes a part of it for the whole.
 */
export function relayBody({ request, answer, reply, moved }: Omit<Answer, 'isPage'>): Promise<void> {
  return new Promise((resolve) => {
    const cut = () => breakOff(reply);
    const flow = carryBody(answer, reply, moved);
    // Events are seen as they come, and a stream that has nothing to say yet is seen to be there.
    setImmediate(() => {
      if (!reply.writableEnded && !reply.destroyed) reply.flushHeaders();
    });
    answer.once('error', cut);
    // A connection that breaks ends an answer without a length as well; then its request fails first.
    request.once('error', cut);
    answer.once('end', () => {
      if (!answer.complete || reply.destroyed) return cut();
      if (isChunked(answer.rawHeaders)) reply.addTrailers(trailers(answer.rawTrailers));
      return reply.end();
    });
    reply.on('error', () => undefined);
    reply.once('close', () => {
      flow.stop();
      if (!reply.writableFinished || !request.writableFinished)
        request.destroy(new Error('the client has gone, or has its whole answer'));
      resolve();
    });
    // It broke while its head was written.
    if (answer.destroyed) cut();
  });
}

/** To HTTP/1.0 the end of a connection may be the end of an answer: only a reset is none. Of TLS it is none without a goodbye. */
function breakOff(reply: ServerResponse): void {
  const { socket } = reply;
  const isTold = reply.req.httpVersionMinor > 0 || socket === null || socket instanceof TLSSocket;
  if (isTold) reply.destroy();
  else resetSocket(socket);
}
