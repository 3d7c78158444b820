import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import { readHandshake } from './web-socket-handshake.ts';

const HEADERS = { 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', 'sec-websocket-version': '13' };

function read(headers: Record<string, string>, method = 'GET') {
  const request = { method, headers: { ...HEADERS, ...headers }, rawHeaders: [] } as unknown as IncomingMessage;
  return readHandshake(request, '/x');
}

describe('a handshake', () => {
  it.each([
    [{}, []],
    [{ 'sec-websocket-protocol': 'one' }, ['one']],
    [{ 'sec-websocket-protocol': 'one , v2.bin,three' }, ['one', 'v2.bin', 'three']],
  ])('with %j offers %j', (headers, subprotocols) => {
    expect(read(headers).subprotocols).toEqual(subprotocols);
  });

  it.each([
    [{ 'sec-websocket-version': '8' }],
    [{ 'sec-websocket-key': 'short' }],
    [{ 'sec-websocket-protocol': '' }],
    [{ 'sec-websocket-protocol': 'one,' }],
    [{ 'sec-websocket-protocol': 'one,one' }],
    [{ 'sec-websocket-protocol': 'a b' }],
    [{ 'sec-websocket-protocol': Array.from({ length: 33 }, (_, at) => `p${at}`).join() }],
  ])('with %j is none', (headers) => {
    expect(() => read(headers)).toThrow(expect.objectContaining({ code: 'protocol_error' }));
  });

  it('is none in a POST', () => {
    expect(() => read({}, 'POST')).toThrow(expect.objectContaining({ code: 'protocol_error' }));
  });
});
