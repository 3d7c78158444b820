import { FrameType } from '@drawbridge/protocol';
import { eventually, socketPair } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { countedSocket } from './counted-socket.ts';
import { Metrics } from './metrics.ts';
import { seriesOf } from './observability-fixture.ts';

it('counts messages and bytes by type, and what it does not know as other', async () => {
  const { traffic, registry } = new Metrics();
  traffic.link('in', 'heartbeat', 100);
  traffic.link('in', 'heartbeat', 50);
  traffic.link('out', 'x'.repeat(1_000), 7);
  const series = await seriesOf(registry);
  const of = (name: string, direction: string, type: string) =>
    series.get(`drawbridge_ws_${name}_total{socket="link",direction="${direction}",type="${type}"}`);
  expect([of('messages', 'in', 'heartbeat'), of('bytes', 'in', 'heartbeat')]).toEqual([2, 150]);
  expect([of('messages', 'out', 'other'), of('bytes', 'out', 'other')]).toEqual([1, 7]);
  expect([...series.keys()].filter((key) => key.includes('xxx'))).toEqual([]);
});

it('counts the frames of a tunnel both ways, and lets them and the end pass', async () => {
  const { traffic, registry } = new Metrics();
  const pair = socketPair();
  const heard: unknown[] = [];
  const socket = countedSocket(pair.a, traffic);
  socket.listen({ message: (message) => heard.push(message), closed: ({ code }) => heard.push(code) });
  pair.b.listen({ message: (message) => heard.push(message), closed: () => undefined });
  const [data, unknown] = [Uint8Array.of(1, FrameType.Data, 0, 0), Uint8Array.of(1, 0xee)];
  socket.send(data);
  pair.b.send(unknown);
  pair.b.close(1000, '');
  await eventually(() => heard.length === 3, { what: 'both frames and the end' });
  expect(heard).toEqual(expect.arrayContaining([data, unknown, 1000]));
  const series = await seriesOf(registry);
  expect(series.get('drawbridge_ws_bytes_total{socket="tunnel",direction="out",type="data"}')).toBe(4);
  expect(series.get('drawbridge_ws_messages_total{socket="tunnel",direction="in",type="other"}')).toBe(1);
});
