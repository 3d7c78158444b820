// The end of every chain: a TCP server that echoes, swallows or sends, as it is told. Started by `startSink`.
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { listeningPort } from '@drawbridge/testkit';
import { sendFor } from './send-for.ts';
import { Arrivals, ARRIVED_BYTES, GO_BYTES, TALK } from './talk.ts';
import { work } from './work.ts';

function serve(socket: Socket): void {
  // What is wrong with it is seen at the other end.
  socket.on('error', () => {});
  let heard: Uint8Array = Buffer.alloc(0);
  const listen = (chunk: Buffer) => {
    heard = Buffer.concat([heard, chunk]);
    if (heard.byteLength === chunk.byteLength) socket.write(chunk.subarray(0, 1));
    if (heard[0] === TALK.echo) {
      socket.off('data', listen);
      if (heard.byteLength > 1) socket.write(heard.subarray(1));
      echo(socket);
    } else if (heard.byteLength >= 1 + GO_BYTES) {
      socket.off('data', listen);
      const forMs = Buffer.from(heard).readUInt32BE(1);
      if (heard[0] === TALK.down) sendFor(socket, forMs);
      else swallow(socket, forMs, heard.subarray(1 + GO_BYTES));
    }
  };
  socket.on('data', listen);
}

function echo(socket: Socket): void {
  socket.on('data', (chunk: Buffer) => socket.write(chunk));
  socket.on('end', () => socket.end());
}

function swallow(socket: Socket, forMs: number, first: Uint8Array): void {
  const arrivals = new Arrivals(forMs);
  if (first.byteLength > 0) arrivals.note(first);
  socket.on('data', (chunk: Buffer) => arrivals.note(chunk));
  socket.on('end', () => {
    const answer = Buffer.alloc(ARRIVED_BYTES);
    answer.writeDoubleBE(arrivals.bytes, 0);
    answer.writeDoubleBE(arrivals.lateBytesPerSecond, 8);
    socket.end(answer);
  });
}

const server = createServer({ allowHalfOpen: true, noDelay: true }, serve);
server.listen({ port: 0, host: '127.0.0.1', backlog: 1_024 });
await once(server, 'listening');
work(listeningPort(server), async () => null);
