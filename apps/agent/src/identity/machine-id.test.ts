import { writeFile } from 'node:fs/promises';
import { TempDir } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { machineIdFor, readMachineId } from './machine-id.ts';
import type { MachineIdSources } from './machine-id.ts';

const ID = '0123456789abcdef0123456789abcdef';

/** A Linux whose files hold these texts, the first one first; undefined: no such file. */
async function linux(dir: TempDir, texts: readonly (string | undefined)[]): Promise<MachineIdSources> {
  const files = texts.map((_text, index) => dir.join(`machine-id-${index}`));
  for (const [index, text] of texts.entries()) {
    if (text !== undefined) await writeFile(files[index] ?? '', text);
  }
  return { platform: 'linux', files, ioreg: () => Promise.reject(new Error('no ioreg')) };
}

it.each<[what: string, texts: (string | undefined)[], expected: string | undefined]>([
  ['the first file', [`${ID}\n`, `${'f'.repeat(32)}\n`], ID],
  ['the second file', [undefined, `${ID.toUpperCase()}\n`], ID],
  ['nothing, of an image that has not started yet', ['uninitialized\n', ''], undefined],
  ['nothing, in a container', [undefined, undefined], undefined],
])('reads %s', async (_what, texts, expected) => {
  await using dir = await TempDir.make();
  expect(await readMachineId(await linux(dir, texts))).toBe(expected);
});

it.each([
  ['    "IOPlatformUUID" = "8A1E2F30-0000-4000-8000-00000000ABCD"\n', '8a1e2f30-0000-4000-8000-00000000abcd'],
  ['nonsense', undefined],
])('reads what ioreg prints: %j', async (text, expected) => {
  const sources = { platform: 'darwin', files: [], ioreg: () => Promise.resolve(text) } as const;
  expect(await readMachineId(sources)).toBe(expected);
});

it('goes on without ioreg', async () => {
  const sources = { platform: 'darwin', files: [], ioreg: () => Promise.reject(new Error('gone')) } as const;
  expect(await readMachineId(sources)).toBeUndefined();
});

it('tells two control planes two ids, and neither the machine’s own', () => {
  const told = ['server-1', 'server-1', 'server-2'].map((serverId) => machineIdFor(serverId, ID));
  expect(told[0]).toBe(told[1]);
  expect(told[0]).not.toBe(told[2]);
  expect(told[0]).toMatch(/^[A-Za-z0-9_-]{43}$/);
});
