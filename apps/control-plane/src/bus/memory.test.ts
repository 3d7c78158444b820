import { expect, it } from 'vitest';
import { MemoryBus } from './memory.ts';

it('tells everybody who listens to a topic, and nobody else', () => {
  const bus = new MemoryBus();
  const heard: string[] = [];
  bus.subscribe('task:1', () => heard.push('first'));
  bus.subscribe('task:1', () => heard.push('second'));
  bus.subscribe('task:2', () => heard.push('other'));
  bus.publish('task:1');
  expect(heard).toEqual(['first', 'second']);
  bus.publish('agent:nobody');
});

it('tells nothing to who has unsubscribed, even from within', () => {
  const bus = new MemoryBus();
  let heard = 0;
  const unsubscribe = bus.subscribe('task:1', () => {
    heard += 1;
    unsubscribe();
  });
  let neighbour = 0;
  bus.subscribe('task:1', () => (neighbour += 1));
  bus.publish('task:1');
  bus.publish('task:1');
  unsubscribe();
  expect([heard, neighbour]).toEqual([1, 2]);
});

it('keeps a listener that came after the topic was left', () => {
  const bus = new MemoryBus();
  const leave = bus.subscribe('task:1', () => undefined);
  leave();
  let heard = 0;
  bus.subscribe('task:1', () => (heard += 1));
  leave();
  bus.publish('task:1');
  expect(heard).toBe(1);
});
