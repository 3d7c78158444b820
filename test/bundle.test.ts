import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { TempDir } from '@drawbridge/testkit';
import { describe, expect, it } from 'vitest';
import { packagesOf, renderNotices, thirdPartyIn } from '../scripts/bundle/notices.ts';
import { REFERENCES, redirect } from '../scripts/bundle/references.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

describe('references', () => {
  it.each([...new Set(REFERENCES.map(({ file }) => file))])('are as the bundle expects them in %s', async (file) => {
    const before = await readFile(`${ROOT}${file}`, 'utf8');
    const after = redirect(file, before);
    expect(after).not.toBe(before);
    expect(after).not.toMatch(/'(\.\.\/)+[^']*', import\.meta\.url/);
  });

  it('of a source that is not listed stop the bundling', () => {
    expect(() => redirect('apps/a/src/b.ts', "new URL('./c', import.meta.url)")).toThrow(
      'apps/a/src/b.ts: names 1 files beside it, and 0 are listed: see scripts/bundle/references.ts',
    );
  });

  it('that moved stop the bundling', () => {
    const listed = [{ file: 'a.ts', from: "'./old'", to: "'./new'" }];
    expect(redirect('a.ts', "new URL('./old', import.meta.url)", listed)).toBe("new URL('./new', import.meta.url)");
    expect(() => redirect('a.ts', "new URL('./moved', import.meta.url)", listed)).toThrow("'./old' is not there once");
  });
});

describe('notices', () => {
  it('name each package once, by its folder, and none of ours', () => {
    const inputs = [
      'apps/agent/src/main.ts',
      'node_modules/ws/index.js',
      'node_modules/ws/lib/sender.js',
      'node_modules/@a/b/index.js',
      'node_modules/ajv/node_modules/fast-uri/index.js',
    ];
    expect(packagesOf(inputs)).toEqual([
      'node_modules/@a/b',
      'node_modules/ajv/node_modules/fast-uri',
      'node_modules/ws',
    ]);
  });

  it.each([
    ['a file', { 'LICENSE.md': 'You may.' }, 'MIT', /^You may\.$/],
    ['a file and a notice', { LICENCE: 'You may.', NOTICE: 'By A.' }, 'Apache-2.0', /^You may\.\n\nBy A\.$/],
    ['its README', { 'README.md': '# x\n\n## License\n\n(c) A\n\nPermission is hereby granted' }, 'ISC', /^\(c\) A/],
    ['its manifest alone', {}, 'MIT', /^Copyright \(c\) A U Thor\n\nPermission is hereby granted/],
  ])('have the text of a package that tells it in %s', async (_where, files, license, text) => {
    await using root = await packageWith(files, license);
    expect((await thirdPartyIn(root.path, 'x')).text).toMatch(text);
  });

  it('are not made when a package names a licence and has no text of it', async () => {
    await using root = await packageWith({ 'README.md': '## License\n\nISC' }, 'ISC');
    await expect(thirdPartyIn(root.path, 'x')).rejects.toThrow('x has no text of its licence (ISC)');
  });

  it('are read by people: what it is, under which licence, and its text', () => {
    const text = renderNotices([{ path: 'x', name: 'x', version: '1.0.0', license: 'MIT', text: 'You may.' }]);
    expect(text).toContain('\nx 1.0.0 (MIT)\n\nYou may.\n');
  });
});

/** A package `x` with these files. */
async function packageWith(files: Readonly<Record<string, string>>, license: string): Promise<TempDir> {
  const root = await TempDir.make();
  await mkdir(root.join('x'));
  const manifest = { name: 'x', version: '1.0.0', license, author: { name: 'A U Thor' } };
  for (const [name, text] of Object.entries({ ...files, 'package.json': JSON.stringify(manifest) })) {
    await writeFile(root.join(`x/${name}`), text);
  }
  return root;
}
