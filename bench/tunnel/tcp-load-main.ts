// A process that talks to sinks. Started by `TcpLoad`, ends with it.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { systemClock } from '@drawbridge/link';
import { ratePerSecond } from '../measure/rate.ts';
import { sendFor } from './send-for.ts';
import { Arrivals, ARRIVED_BYTES, GO_BYTES, TALK } from './talk.ts';
import type { LoadAnswer, LoadOrder, Transfer } from './tcp-load.ts';
import { work } from './work.ts';

const HELD_MS = 3_600_000;

const held: Socket[] = [];

async function obey(order: LoadOrder): Promise<LoadAnswer> {
  switch (order.do) {
    case 'transfer':
      return { transfer: await transfer(order) };
    case 'round-trips':
      return { milliseconds: await roundTrips(order.port, order.count, order.pauseMs) };
    case 'connections':
      return { connectionsPerSecond: await ratePerSecond(order.callers, order.forMs, () => oneConnection(order.port)) };
    case 'hold':
      for (let index = 0; index < order.streams; index += 1) held.push(await heldStream(order.port));
      return {};
    case 'release':
      for (const socket of held.splice(0)) socket.destroy();
      return {};
  }
}

/** All streams are connected through to the sink before the first one begins. */
async function transfer(order: Extract<LoadOrder, { do: 'transfer' }>): Promise<Transfer> {
  const { direction, port, streams, forMs } = order;
  const sockets = await Promise.all(Array.from({ length: streams }, () => talk(port, TALK[direction])));
  const startedMs = performance.now();
  const arrived = await Promise.all(sockets.map((socket) => (direction === 'up' ? up : down)(socket, forMs)));
  const seconds = (performance.now() - startedMs) / 1000;
  return {
    bytes: sum(arrived.map(({ bytes }) => bytes)),
    lateBytesPerSecond: sum(arrived.map(({ lateBytesPerSecond }) => lateBytesPerSecond)),
    seconds,
  };
}

async function up(socket: Socket, forMs: number) {
  const answer: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => answer.push(chunk));
  socket.write(go(forMs));
  sendFor(socket, forMs);
  await once(socket, 'end');
  const said = Buffer.concat(answer);
  if (said.byteLength !== ARRIVED_BYTES) throw new Error(`the sink said ${said.byteLength} bytes`);
  if (said.readDoubleBE(0) !== socket.bytesWritten - 1 - GO_BYTES) {
    throw new Error(`${socket.bytesWritten} bytes were sent, ${said.readDoubleBE(0)} arrived`);
  }
  return { bytes: said.readDoubleBE(0), lateBytesPerSecond: said.readDoubleBE(8) };
}

async function down(socket: Socket, forMs: number) {
  const arrivals = new Arrivals(forMs);
  socket.on('data', (chunk: Buffer) => arrivals.note(chunk));
  socket.write(go(forMs));
  await once(socket, 'end');
  socket.end();
  return arrivals;
}

async function roundTrips(port: number, count: number, pauseMs: number): Promise<number[]> {
  const socket = await talk(port, TALK.echo);
  const milliseconds: number[] = [];
  for (let index = 0; index < count; index += 1) {
    if (pauseMs > 0) await systemClock.sleep(pauseMs);
    milliseconds.push(await roundTrip(socket));
  }
  socket.end();
  await once(socket, 'close');
  return milliseconds;
}

function roundTrip(socket: Socket): Promise<number> {
  return new Promise((resolve, reject) => {
    const startedMs = performance.now();
    const settle = (done: () => void) => {
      socket.off('data', heard);
      socket.off('close', closed);
      done();
    };
    const heard = () => settle(() => resolve(performance.now() - startedMs));
    const closed = () => settle(() => reject(new Error('the connection ended')));
    socket.on('data', heard);
    socket.on('close', closed);
    socket.write('.');
  });
}

async function oneConnection(port: number): Promise<void> {
  const socket = await talk(port, TALK.echo);
  socket.resume();
  socket.end();
  await once(socket, 'close');
}

async function heldStream(port: number): Promise<Socket> {
  const socket = await talk(port, TALK.down);
  socket.pause();
  // Held streams end when whoever carries them does.
  socket.on('error', () => {});
  socket.write(go(HELD_MS));
  return socket;
}

/** A connection whose sink has answered. */
async function talk(port: number, kind: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
  socket.write(Buffer.of(kind));
  const [answer]: Buffer[] = await Promise.race([once(socket, 'data'), once(socket, 'end')]);
  if (answer?.byteLength !== 1 || answer[0] !== kind) throw new Error(`no sink behind port ${port}`);
  return socket;
}

function go(forMs: number): Buffer {
  const bytes = Buffer.alloc(GO_BYTES);
  bytes.writeUInt32BE(Math.round(forMs));
  return bytes;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, next) => total + next, 0);
}

work(null, obey);
