import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { askSecret, readSecret, typeSecrets } from './ask.ts';

/** A terminal's keyboard that keeps what was done to it. */
class Keyboard extends PassThrough {
  readonly isTTY = true;
  readonly modes: boolean[] = [];

  setRawMode(isRaw: boolean): void {
    this.modes.push(isRaw);
  }
}

function ask(...chunks: (string | Buffer)[]) {
  const input = new Keyboard();
  const said: string[] = [];
  for (const chunk of chunks) input.write(chunk);
  return { answer: askSecret({ question: 'Password: ', input, say: (text) => said.push(text) }), input, said };
}

it('asks, and shows nothing of what is typed', async () => {
  const { answer, input, said } = ask('s3c', 'ret\r');
  expect(await answer).toBe('s3cret');
  expect(said).toEqual(['Password: ', '\n']);
  expect(input.modes).toEqual([true, false]);
});

it('asks only when nothing is shown any more', async () => {
  const input = new Keyboard();
  input.write('secret\r');
  const modesWhenSaid: boolean[][] = [];
  await askSecret({ question: 'Password: ', input, say: () => modesWhenSaid.push([...input.modes]) });
  expect(modesWhenSaid[0]).toEqual([true]);
});

it.each([
  ['abx\u007fc\r', 'abc'],
  ['\u007f\u007fa\n', 'a'],
  ['a b\u0004', 'a b'],
  ['\r', ''],
])('understands the keys %j', async (keys, secret) => {
  expect(await ask(keys).answer).toBe(secret);
});

it.each([[['old\r', 'ne', 'w\r']], [['old\rnew\r']]])('asks for two, one after the other: %j', async (chunks) => {
  const input = new Keyboard();
  const said: string[] = [];
  for (const chunk of chunks) input.write(chunk);
  const secrets = await typeSecrets(['Old: ', 'New: '], { input, say: (text) => said.push(text) });
  expect(secrets).toEqual(['old', 'new']);
  expect(said).toEqual(['Old: ', '\nNew: ', '\n']);
  expect(input.modes).toEqual([true, false]);
});

it('puts a character together that comes in two pieces', async () => {
  const bytes = Buffer.from('ü\r');
  expect(await ask(bytes.subarray(0, 1), bytes.subarray(1)).answer).toBe('ü');
});

it('stops at Ctrl-C, and gives the terminal back', async () => {
  const { answer, input } = ask('sec\u0003');
  await expect(answer).rejects.toMatchObject({ name: 'Interrupted' });
  expect(input.modes).toEqual([true, false]);
});

it('takes a terminal that goes away for a Ctrl-C', async () => {
  const { answer, input } = ask('sec');
  input.end();
  await expect(answer).rejects.toMatchObject({ name: 'Interrupted' });
});

it.each([
  ['secret\n', 'secret'],
  ['secret\r\n', 'secret'],
  [' with spaces ', ' with spaces '],
])('reads %j from a pipe, asking nothing', async (text, secret) => {
  const input = new PassThrough();
  input.end(text);
  expect(await askSecret({ question: 'Password: ', input, say: () => expect.fail('said something') })).toBe(secret);
});

it.each(['', '\n', 'x'.repeat(2000)])('takes no secret from a pipe that holds none', async (text) => {
  const input = new PassThrough();
  input.end(text);
  await expect(readSecret(input)).rejects.toMatchObject({ name: 'UsageError' });
});
