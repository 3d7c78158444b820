import { eventually } from '@drawbridge/testkit';
import { Duplex, duplexPair } from 'node:stream';
import { expect, it } from 'vitest';
import { Notes } from '../notes-fixture.ts';
import { Opcode } from './frame-header.ts';
import { FrameReader } from './frame-reader.ts';
import { frameSocket } from './frame-socket.ts';
import { FrameWriter } from './frame-writer.ts';

/** A network that takes one write at a time, each when it is told to. */
function slowNetwork() {
  const chunks: Buffer[] = [];
  let taken: () => void = () => undefined;
  const connection = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      taken = done;
    },
  });
  const take = async () => {
    taken();
    await new Promise(setImmediate);
  };
  return { connection, chunks, take };
}

it('sends at once when nothing is on its way, and gathers what comes meanwhile into one write', async () => {
  const { connection, chunks, take } = slowNetwork();
  const writer = new FrameWriter(connection, 'client');
  const written: string[] = [];
  for (const text of ['one', 'two', 'three', 'four']) {
    writer.write(Opcode.Text, new Uint8Array(), Buffer.from(text), () => written.push(text));
  }
  expect(chunks.map((chunk) => chunk.byteLength)).toEqual([9]);
  expect(writer.bufferedBytes).toBe(9 + 9 + 11 + 10);
  await take();
  expect(written).toEqual(['one']);
  expect(chunks.map((chunk) => chunk.byteLength)).toEqual([9, 30]);
  await take();
  expect(written).toEqual(['one', 'two', 'three', 'four']);
  expect(writer.bufferedBytes).toBe(0);
  const heard: unknown[] = [];
  const sink = { message: (message: unknown) => heard.push(message), ping() {}, close() {} };
  new FrameReader({ isMasked: true, maxPayloadBytes: 100, sink }).read(Buffer.concat(chunks));
  expect(heard).toEqual(['one', 'two', 'three', 'four']);
});

it('leaves alone what it wrote to a stream that hands it on as it is', async () => {
  const [near, far] = duplexPair();
  const client = frameSocket(near, { role: 'client', maxPayloadBytes: 65_536 });
  const notes = new Notes();
  frameSocket(far, { role: 'server', maxPayloadBytes: 65_536 }).listen(notes);
  for (let index = 0; index < 40; index += 1) {
    client.send(Buffer.alloc(65_536, index));
    await eventually(() => notes.messages.length === index + 1, { what: `message ${index}` });
  }
  const firsts = notes.messages.map((message) => [message[0], message.at(-1)]);
  expect(firsts).toEqual(Array.from({ length: 40 }, (_, index) => [index, index]));
});
