import { FakeClock } from '@drawbridge/testkit';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { type Duplex, duplexPair } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import { acceptKeyFor } from '../request-upgrade.ts';
import { Notes } from '../notes-fixture.ts';
import { wsLimits } from '../ws-server-options.ts';
import { frameSocket } from './frame-socket.ts';

/** What every socket here takes: little, so that tests reach the bounds. */
export const MAX_PAYLOAD_BYTES = 4_096;

export type Role = 'client' | 'server';

/** What became of a stream of bytes: what was heard, how it ended, and what was said. */
export interface Outcome {
  readonly messages: (string | Buffer)[];
  readonly end: { readonly code: number; readonly reason: string };
  /** The code of the close frame that was sent; 1005 for one without; undefined when none was. */
  readonly closedWith: number | undefined;
  readonly pongs: string[];
  /** What broke it, in the words of who noticed. */
  readonly error: string | undefined;
}

/** One frame, with anything in it that may be wrong. `key`: masked with it. */
export interface RawFrame {
  readonly opcode: number;
  readonly payload: Uint8Array;
  readonly isFinal?: boolean;
  readonly reserved?: number;
  readonly key?: Uint8Array | undefined;
}

/** The bytes of a frame, said in the shortest way. Written without the code it is to test. */
export function rawFrame({ opcode, payload, isFinal = true, reserved = 0, key }: RawFrame): Buffer {
  const { length } = payload;
  const first = (isFinal ? 0x80 : 0) | (reserved << 4) | opcode;
  const mask = key === undefined ? 0 : 0x80;
  const header =
    length < 126
      ? [first, mask | length]
      : length < 65_536
        ? [first, mask | 126, length >> 8, length & 0xff]
        : [first, mask | 127, 0, 0, 0, 0, 0, length >> 16, (length >> 8) & 0xff, length & 0xff];
  return Buffer.from([...header, ...(key ?? []), ...payload.map((byte, index) => byte ^ (key?.[index % 4] ?? 0))]);
}

/** Feeds `pieces`, and then the end of the connection, to a frame socket in this role. */
export async function feedFrameSocket(role: Role, pieces: readonly Buffer[]): Promise<Outcome> {
  const [near, far] = duplexPair();
  const said = collect(far);
  const notes = new Notes();
  const clock = new FakeClock();
  frameSocket(near, { role, maxPayloadBytes: MAX_PAYLOAD_BYTES, clock }).listen(notes);
  await feed(far, near, pieces);
  if (clock.pending > 0) throw new Error('a timer is left');
  const [end = { code: 0, reason: 'never closed' }] = notes.ends;
  return {
    messages: notes.messages.map((message) => (typeof message === 'string' ? message : Buffer.from(message))),
    end: { code: end.code, reason: end.reason },
    error: end.error?.message,
    ...framesOf(Buffer.concat(said)),
  };
}

/** The same for `ws`. */
export async function feedWs(role: Role, pieces: readonly Buffer[]): Promise<Outcome> {
  const [near, far] = duplexPair();
  const { ws, said } = role === 'server' ? await acceptedWs(near, far) : await dialledWs(near, far);
  const messages: (string | Buffer)[] = [];
  const end = { code: 0, reason: 'never closed' };
  let error: string | undefined;
  ws.on('message', (data, isBinary) => {
    const bytes = Buffer.isBuffer(data) ? Buffer.from(data) : Buffer.of();
    messages.push(isBinary ? bytes : bytes.toString());
  });
  ws.on('error', (reason) => (error = reason.message));
  ws.on('close', (code, reason) => Object.assign(end, { code, reason: reason.toString() }));
  await feed(far, near, pieces);
  return { messages, end, error, ...framesOf(Buffer.concat(said)) };
}

/** `ws` bounds the chunks of a message as well; those of a test are as small as they come. */
const ORACLE = { ...wsLimits(MAX_PAYLOAD_BYTES), maxBufferedChunks: 0 };

async function acceptedWs(near: Duplex, far: Duplex): Promise<{ ws: WebSocket; said: Buffer[] }> {
  const headers = {
    upgrade: 'websocket',
    'sec-websocket-key': randomBytes(16).toString('base64'),
    'sec-websocket-version': '13',
  };
  const request = { method: 'GET', headers, url: '/' } as unknown as IncomingMessage;
  const wss = new WebSocketServer({ ...ORACLE, noServer: true });
  const opened = Promise.withResolvers<WebSocket>();
  wss.handleUpgrade(request, near, Buffer.of(), opened.resolve);
  await once(far, 'data');
  return { ws: await opened.promise, said: collect(far) };
}

async function dialledWs(near: Duplex, far: Duplex): Promise<{ ws: WebSocket; said: Buffer[] }> {
  const ws = new WebSocket('ws://oracle.test', { ...ORACLE, createConnection: () => near });
  const opened = once(ws, 'open');
  const [request] = await once(far, 'data');
  const key = /^sec-websocket-key: *(?<key>\S+)/im.exec(String(request))?.groups?.['key'] ?? '';
  far.write(
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${acceptKeyFor(key)}\r\n\r\n`,
  );
  await opened;
  return { ws, said: collect(far) };
}

function collect(far: Duplex): Buffer[] {
  const said: Buffer[] = [];
  far.on('data', (chunk: Buffer) => said.push(Buffer.from(chunk)));
  return said;
}

/** One piece at a time, each a chunk of its own: a copy, because it belongs to who reads it. */
async function feed(far: Duplex, near: Duplex, pieces: readonly Buffer[]): Promise<void> {
  const closed = once(near, 'close');
  near.on('error', () => undefined);
  for (const piece of pieces) {
    if (piece.byteLength === 0) continue;
    far.write(Buffer.from(piece));
    await new Promise(setImmediate);
  }
  far.end();
  await closed;
  // What was said last is on its way.
  await new Promise(setImmediate);
}

function framesOf(said: Buffer): Pick<Outcome, 'closedWith' | 'pongs'> {
  const pongs: string[] = [];
  let closedWith: number | undefined;
  for (let at = 0; at < said.byteLength;) {
    const isMasked = (said.readUInt8(at + 1) & 0x80) !== 0;
    const start = at + (isMasked ? 6 : 2);
    const end = start + (said.readUInt8(at + 1) & 0x7f);
    const key = isMasked ? said.subarray(at + 2, at + 6) : undefined;
    const payload = Buffer.from(said.subarray(start, end).map((byte, index) => byte ^ (key?.[index % 4] ?? 0)));
    const opcode = said.readUInt8(at) & 0x0f;
    if (opcode === 0xa) pongs.push(payload.toString('hex'));
    if (opcode === 0x8) closedWith = payload.byteLength === 0 ? 1005 : payload.readUInt16BE(0);
    at = end;
  }
  return { closedWith, pongs };
}
