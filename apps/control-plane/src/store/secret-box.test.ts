import { randomBytes } from 'node:crypto';
import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { TempDir } from '@drawbridge/testkit';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { SecretBox } from './secret-box.ts';

const PLACE = { table: 'commands', row: 'c1', column: 'params' };
const newBox = () => new SecretBox(randomBytes(32));

it('opens what it sealed', () => {
  const box = newBox();
  fc.assert(
    fc.property(fc.uint8Array(), (plain) => {
      expect(new Uint8Array(box.open(box.seal(plain, PLACE), PLACE))).toEqual(plain);
    }),
  );
  expect(box.openText(box.seal('grüße', PLACE), PLACE)).toBe('grüße');
});

it('seals the same content differently each time, and never in the open', () => {
  const box = newBox();
  const [first, second] = [box.seal('hunter2', PLACE), box.seal('hunter2', PLACE)];
  expect(Buffer.from(first).equals(second)).toBe(false);
  expect(Buffer.from(first).includes('hunter2')).toBe(false);
});

it.each([
  { ...PLACE, table: 'tasks' },
  { ...PLACE, row: 'c2' },
  { ...PLACE, column: 'result' },
  // The same letters, split elsewhere.
  { table: 'commandsc', row: '1', column: 'params' },
])('does not open in another place: %o', (place) => {
  const box = newBox();
  const sealed = box.seal('hunter2', PLACE);
  expect(() => box.open(sealed, place)).toThrow('altered, or sealed for another place');
});

it('does not open with another key, and says so', () => {
  const sealed = newBox().seal('hunter2', PLACE);
  expect(() => newBox().open(sealed, PLACE)).toThrow('commands.params of row c1: sealed with another master key');
});

it('does not open when any one bit was changed', () => {
  const box = newBox();
  const sealed = box.seal('hunter2', PLACE);
  for (let index = 0; index < sealed.byteLength; index += 1) {
    const altered = Uint8Array.from(sealed, (byte, at) => (at === index ? byte ^ 1 : byte));
    expect(() => box.open(altered, PLACE)).toThrow('commands.params of row c1');
  }
});

it('does not open when it was cut', () => {
  const box = newBox();
  const sealed = box.seal('hunter2', PLACE);
  for (let length = 0; length < sealed.byteLength; length += 1) {
    expect(() => box.open(sealed.subarray(0, length), PLACE)).toThrow('commands.params of row c1');
  }
});

it('makes the key on first use, for the owner alone, and uses it from then on', async () => {
  await using directory = await TempDir.make();
  const path = directory.join('master.key');
  const sealed = (await SecretBox.load(path)).seal('hunter2', PLACE);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await readFile(path)).toHaveLength(32);
  expect(await readdir(directory.path)).toEqual(['master.key']);
  expect((await SecretBox.load(path)).openText(sealed, PLACE)).toBe('hunter2');
});

it('makes one key when several start at once', async () => {
  await using directory = await TempDir.make();
  const boxes = await Promise.all(Array.from({ length: 8 }, () => SecretBox.load(directory.join('master.key'))));
  const sealed = boxes[0]?.seal('hunter2', PLACE) ?? new Uint8Array();
  for (const box of boxes) expect(box.openText(sealed, PLACE)).toBe('hunter2');
  expect(await readdir(directory.path)).toEqual(['master.key']);
});

it.each([0o640, 0o604, 0o660])('refuses a key file of mode %o', async (mode) => {
  await using directory = await TempDir.make();
  const path = directory.join('master.key');
  await SecretBox.load(path);
  await chmod(path, mode);
  await expect(SecretBox.load(path)).rejects.toMatchObject({
    code: 'forbidden',
    message: expect.stringContaining(path),
  });
});

it('refuses a key file that was cut, and leaves it alone', async () => {
  await using directory = await TempDir.make();
  const path = directory.join('master.key');
  await writeFile(path, randomBytes(31), { mode: 0o600 });
  await expect(SecretBox.load(path)).rejects.toThrow('a key file has 32 bytes, not 31');
  expect(await readFile(path)).toHaveLength(31);
});
