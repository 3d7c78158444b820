import { expect, it } from 'vitest';
import { FrameReader } from './frame-reader.ts';
import { rawFrame } from './raw-wire-fixture.ts';

const KEY = Uint8Array.of(1, 2, 3, 4);

function reader({ isMasked = true, maxPayloadBytes = 65_548 } = {}) {
  const messages: (string | Buffer)[] = [];
  const sink = { message: (message: string | Buffer) => messages.push(message), ping() {}, close() {} };
  return { reader: new FrameReader({ isMasked, maxPayloadBytes, sink }), messages };
}

it('keeps nothing of a chunk, whose memory may be used for the next one', () => {
  const { reader: it, messages } = reader({ isMasked: false });
  const chunk = Buffer.alloc(12);
  for (const text of ['first', 'second']) {
    const frames = [
      rawFrame({ opcode: 2, payload: Buffer.from(text) }),
      rawFrame({ opcode: 1, payload: Buffer.of(0x2e) }),
    ];
    const bytes = Buffer.concat(frames);
    bytes.copy(chunk);
    it.read(chunk.subarray(0, bytes.byteLength));
  }
  expect(messages).toEqual([Buffer.from('first'), '.', Buffer.from('second'), '.']);
});

it('gives a small message memory of its size', () => {
  const { reader: it, messages } = reader();
  const small = rawFrame({ opcode: 2, payload: Buffer.from('small'), key: KEY });
  it.read(Buffer.concat([small, rawFrame({ opcode: 9, payload: new Uint8Array(100), key: KEY })]));
  expect(messages).toEqual([Buffer.from('small')]);
  expect(Buffer.isBuffer(messages[0]) && messages[0].buffer.byteLength).toBe(5);
});

it('copies what spans chunks into one buffer, of its size or of the longest frame', () => {
  const { reader: it, messages } = reader({ isMasked: false });
  const payload = Buffer.alloc(65_536, 'x');
  const bytes = rawFrame({ opcode: 2, payload });
  for (let at = 0; at < bytes.byteLength; at += 16_384) it.read(bytes.subarray(at, at + 16_384));
  expect(messages).toEqual([payload]);
  expect(Buffer.isBuffer(messages[0]) && messages[0].buffer.byteLength).toBe(65_548);
});

it('allocates nothing for a message it will refuse', () => {
  const { reader: it } = reader({ isMasked: false });
  const header = Buffer.of(0x82, 127, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff);
  const before = process.memoryUsage().arrayBuffers;
  expect(() => it.read(header)).toThrow('a message of more than 65548 bytes');
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000);
});

it.each([
  ['16 bits', [0x82, 126, 0, 125]],
  ['64 bits', [0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff]],
])('refuses a short length that is said in %s', (_name, header) => {
  const { reader: it } = reader({ isMasked: false });
  expect(() => it.read(Buffer.from([...header, ...new Uint8Array(200)]))).toThrow('a length said too long');
});

it('refuses a negative length', () => {
  const { reader: it } = reader({ isMasked: false });
  expect(() => it.read(Buffer.of(0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 1))).toThrow('a length of 64 bits');
});

it.each([
  ['a reserved bit', [0xc2, 0], 1002],
  ['an opcode of the future', [0x83, 0], 1002],
  ['a ping in pieces', [0x09, 0], 1002],
  ['a ping of 126 bytes', [0x89, 126, 0, 126], 1002],
  ['a mask from a server', [0x82, 0x80, 1, 2, 3, 4], 1002],
  ['a piece of no message', [0x80, 0], 1002],
  ['half a close code', [0x88, 1, 3], 1002],
  ['close code 1006', [0x88, 2, 0x03, 0xee], 1002],
  ['text that is not UTF-8', [0x81, 1, 0xff], 1007],
  ['a reason that is not UTF-8', [0x88, 3, 0x03, 0xe8, 0xff], 1007],
  ['more than it takes', [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 13], 1009],
])('answers %s with the code of RFC 6455 §7.4.1', (_name, bytes, closeCode) => {
  const { reader: it } = reader({ isMasked: false });
  let error: unknown;
  try {
    it.read(Buffer.from(bytes));
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toMatchObject({ name: 'FrameError', closeCode });
});

it('takes as many pieces as an honest message has, and no more', () => {
  const { reader: it } = reader({ isMasked: false, maxPayloadBytes: 640 });
  it.read(rawFrame({ opcode: 2, payload: Buffer.of(1), isFinal: false }));
  const piece = rawFrame({ opcode: 0, payload: Buffer.of(), isFinal: false });
  for (let index = 1; index < 10; index += 1) it.read(piece);
  expect(() => it.read(piece)).toThrow('a message in too many pieces');
});

it('says nothing after it was stopped, within a chunk too', () => {
  const heard: unknown[] = [];
  const stopping = new FrameReader({
    isMasked: false,
    maxPayloadBytes: 100,
    sink: {
      message: (message) => {
        heard.push(message);
        stopping.stop();
      },
      ping() {},
      close() {},
    },
  });
  const frame = rawFrame({ opcode: 1, payload: Buffer.from('one') });
  stopping.read(Buffer.concat([frame, frame]));
  expect(heard).toEqual(['one']);
});
