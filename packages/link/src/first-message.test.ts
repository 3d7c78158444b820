import { expect, it } from 'vitest';
import { settle } from '../../testkit/src/fake-clock.ts';
import { socketPair } from '../../testkit/src/socket-pair.ts';
import { firstMessage } from './first-message.ts';

function record() {
  const heard: unknown[] = [];
  const listener = {
    message: (message: unknown) => heard.push(message),
    closed: (end: { code: number }) => heard.push(end.code),
  };
  return { heard, listener };
}

it('gives the first message, and a socket that says everything after it, in order', async () => {
  const pair = socketPair();
  const { message, rest } = firstMessage(pair.b);
  for (const text of ['one', 'two', 'three']) pair.a.send(text);
  expect(await message).toBe('one');
  await settle();
  const { heard, listener } = record();
  rest.listen(listener);
  await settle();
  pair.a.send('four');
  pair.a.close(1000, '');
  await settle();
  expect(heard).toEqual(['two', 'three', 'four', 1000]);
});

it('leaves the rest to the network until somebody listens', async () => {
  const pair = socketPair();
  const { message } = firstMessage(pair.b);
  for (const text of ['one', 'two', 'three']) pair.a.send(text);
  await message;
  await settle();
  expect(pair.a.bufferedBytes).toBe('twothree'.length);
});

it('says that the socket was closed instead, then and later', async () => {
  const pair = socketPair();
  const { message, rest } = firstMessage(pair.b);
  pair.cut();
  await expect(message).rejects.toMatchObject({ name: 'ClosedEarlyError', end: { code: 1006 } });
  const { heard, listener } = record();
  rest.listen(listener);
  expect(heard).toEqual([1006]);
});

it('sends and closes as the socket does', async () => {
  const pair = socketPair();
  const { heard, listener } = record();
  pair.a.listen(listener);
  const { rest } = firstMessage(pair.b);
  rest.send('hello');
  rest.close(1000, 'bye');
  await settle();
  expect(heard).toEqual(['hello', 1000]);
});
