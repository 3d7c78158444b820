import type { IncomingMessage } from 'node:http';
import { ControlError } from '@drawbridge/protocol';
import { headerOf } from '../edge/headers.ts';
import type { RawHeaders } from './header-rules.ts';
import { PROXY_LIMITS } from './limits.ts';

/** What a client wants a WebSocket with. */
export interface WebSocketHandshake {
  readonly target: string;
  readonly rawHeaders: RawHeaders;
  readonly origin: string | undefined;
  /** In the client's order. */
  readonly subprotocols: readonly string[];
}

const KEY = /^[+/0-9A-Za-z]{22}==$/;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Checks a client's handshake before anybody is dialled for it. Throws ControlError `protocol_error` for one that RFC 6455 does not know. */
export function readHandshake(request: IncomingMessage, target: string): WebSocketHandshake {
  const { method, headers, rawHeaders } = request;
  const key = headerOf(request, 'sec-websocket-key') ?? '';
  const version = headerOf(request, 'sec-websocket-version');
  if (method !== 'GET' || !KEY.test(key) || version !== '13') throw notOne('it has no key, or another version than 13');
  const offered = headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()) ?? [];
  const isFine = offered.every((name) => TOKEN.test(name)) && new Set(offered).size === offered.length;
  if (!isFine || offered.length > PROXY_LIMITS.subprotocolsMax) throw notOne('its subprotocols are no list of tokens');
  return { target, rawHeaders, origin: headers.origin, subprotocols: offered };
}

function notOne(reason: string): ControlError {
  return new ControlError('protocol_error', `this is no WebSocket handshake: ${reason}`);
}
