import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { EventStreamParser } from './event-stream.ts';

const TEXT = [
  'retry: 2000\n\n',
  ': alive\nid: b-0\n\n',
  'id: b-1\nevent: agent.online\ndata: {"name":"grüezi"}\n\n',
  'id: b-2\r\nevent: reset\r\ndata: {}\r\n\r\n',
  'event: error\ndata: one\ndata:two\n\n',
].join('');

const BLOCKS = [
  { id: undefined, type: undefined, data: '' },
  { id: 'b-0', type: undefined, data: '' },
  { id: 'b-1', type: 'agent.online', data: '{"name":"grüezi"}' },
  { id: 'b-2', type: 'reset', data: '{}' },
  { id: undefined, type: 'error', data: 'one\ntwo' },
];

it('reads the same events however the bytes are cut', () => {
  const bytes = new TextEncoder().encode(TEXT);
  fc.assert(
    fc.property(fc.array(fc.nat(bytes.length), { maxLength: 30 }), (cuts) => {
      const parser = new EventStreamParser();
      const places = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
      const blocks = places.flatMap((from, index) => parser.push(bytes.subarray(from, places[index + 1] ?? from)));
      expect(blocks).toEqual(BLOCKS);
    }),
  );
});

it('does not collect an event without end', () => {
  const parser = new EventStreamParser();
  const push = () => parser.push(new TextEncoder().encode(`data: ${'x'.repeat(600_000)}`));
  push();
  expect(push).toThrow('no end');
});
