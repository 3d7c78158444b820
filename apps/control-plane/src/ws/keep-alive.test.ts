import { EventEmitter } from 'node:events';
import { FakeClock } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import type { WebSocket } from 'ws';
import { keepAlive } from './keep-alive.ts';

const SECOND = 1000;

/** The wire: notes when it is asked, and when it is dropped. */
class Viewer extends EventEmitter {
  readonly clock = new FakeClock();
  readonly said: string[] = [];

  ping(): void {
    this.said.push(`ping at ${this.clock.monotonic() / SECOND} s`);
  }

  terminate(): void {
    this.said.push(`dropped at ${this.clock.monotonic() / SECOND} s`);
  }

  keepAlive(): Disposable {
    return keepAlive(this as unknown as WebSocket, this.clock);
  }

  get heardBy(): number {
    return this.listenerCount('message') + this.listenerCount('pong');
  }
}

it('asks after 30 s and drops who says nothing for 60 s, once', async () => {
  const viewer = new Viewer();
  using _alive = viewer.keepAlive();
  await viewer.clock.advance(30 * SECOND - 1);
  expect(viewer.said).toEqual([]);
  await viewer.clock.advance(300 * SECOND);
  expect(viewer.said).toEqual(['ping at 30 s', 'dropped at 60 s']);
  expect(viewer.clock.pending).toBe(0);
});

it.each(['pong', 'message'])('keeps who answers with a %s, as long as they do', async (answer) => {
  const viewer = new Viewer();
  using _alive = viewer.keepAlive();
  for (let times = 0; times < 5; times += 1) {
    await viewer.clock.advance(30 * SECOND);
    viewer.emit(answer);
  }
  const pings = [30, 60, 90, 120, 150].map((at) => `ping at ${at} s`);
  expect(viewer.said).toEqual(pings);
  await viewer.clock.advance(60 * SECOND);
  expect(viewer.said).toEqual([...pings, 'ping at 180 s', 'dropped at 210 s']);
});

it('counts the silence from the last word, and not from the last question', async () => {
  const viewer = new Viewer();
  using _alive = viewer.keepAlive();
  await viewer.clock.advance(1 * SECOND);
  viewer.emit('message');
  await viewer.clock.advance(200 * SECOND);
  expect(viewer.said).toEqual(['ping at 30 s', 'ping at 60 s', 'dropped at 90 s']);
});

it('is not led astray by a clock that is set', async () => {
  const viewer = new Viewer();
  using _alive = viewer.keepAlive();
  viewer.clock.skew(3_600 * SECOND);
  await viewer.clock.advance(30 * SECOND);
  expect(viewer.said).toEqual(['ping at 30 s']);
});

it.each([0, 45])('leaves nothing when it is disposed after %i s', async (seconds) => {
  const viewer = new Viewer();
  {
    using _alive = viewer.keepAlive();
    await viewer.clock.advance(seconds * SECOND);
    expect(viewer.heardBy).toBe(2);
  }
  const { length } = viewer.said;
  expect([viewer.heardBy, viewer.clock.pending]).toEqual([0, 0]);
  await viewer.clock.advance(300 * SECOND);
  expect(viewer.said).toHaveLength(length);
});
