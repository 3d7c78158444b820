import { once } from 'node:events';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { LINK_SUBPROTOCOL } from '@drawbridge/protocol';
import type { TestControlPlane } from '@drawbridge/testkit';

/** What an attacker's page, a program or an agent sends, down to the headers a browser would not let it set. */
export interface EdgeRequest {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Shown to a server that asks for a certificate. */
  readonly client?: { readonly cert: string; readonly key: string };
}

/** What came back. */
export interface EdgeAnswer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** Makes the request with exactly these headers: nobody is signed in unless they say so. */
export async function ask(plane: TestControlPlane, wanted: EdgeRequest): Promise<EdgeAnswer> {
  const request = open(plane, wanted);
  const answered: Promise<IncomingMessage[]> = once(request, 'response');
  request.end(wanted.body === undefined ? undefined : JSON.stringify(wanted.body));
  const [response] = await answered;
  if (response === undefined) throw new Error('no answer');
  return { status: response.statusCode ?? 0, headers: response.headers, body: await text(response) };
}

/** Asks for an agent's WebSocket: 101 when it is let in, otherwise what it was told. */
export async function knock(
  plane: TestControlPlane,
  agentId: string,
  wanted: Omit<EdgeRequest, 'path'> & { readonly query?: string } = {},
): Promise<EdgeAnswer> {
  const request = open(plane, {
    ...wanted,
    path: `/ws/agents/${agentId}${wanted.query ?? ''}`,
    headers: {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': Buffer.from(randomUUID().slice(0, 16)).toString('base64'),
      'sec-websocket-protocol': LINK_SUBPROTOCOL,
      'x-session-id': randomUUID(),
      ...wanted.headers,
    },
  });
  const upgraded: Promise<[IncomingMessage, Duplex]> = new Promise((resolve, reject) => {
    request.once('upgrade', (response: IncomingMessage, socket: Duplex) => resolve([response, socket]));
    request.once('response', (response: IncomingMessage) => resolve([response, response.socket]));
    request.once('error', reject);
  });
  request.end();
  const [response, socket] = await upgraded;
  const status = response.statusCode ?? 0;
  const body = status === 101 ? '' : await text(response);
  socket.destroy();
  return { status, headers: response.headers, body };
}

function open(
  plane: TestControlPlane,
  { method = 'GET', path, headers = {}, body, client }: EdgeRequest,
): ClientRequest {
  const url = new URL(path, plane.url);
  const json = body === undefined ? {} : { 'content-type': 'application/json' };
  const options = {
    method,
    agent: false,
    headers: { ...json, ...headers },
    signal: AbortSignal.timeout(20_000),
  } as const;
  if (url.protocol === 'http:') return httpRequest(url, options);
  return httpsRequest(url, {
    ...options,
    ...client,
    ...(plane.caFile === undefined ? {} : { ca: readFileSync(plane.caFile) }),
  });
}
