import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** A package of somebody else, part of which is in a bundle. */
export interface ThirdParty {
  /** Its folder, from the root of the checkout: two versions of one package are two. */
  readonly path: string;
  readonly name: string;
  readonly version: string;
  /** As its manifest says. */
  readonly license: string;
  /** The text of its licence and notices. */
  readonly text: string;
}

const LICENCE_FILE = /^(licen[cs]e|copying|notice)([.-].*)?$/i;
/** https://spdx.org/licenses/MIT.html */
const MIT = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;
const PACKAGE = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/;

/** The folders of the packages these files belong to, sorted; our own files belong to none. */
export function packagesOf(inputs: Iterable<string>): string[] {
  return [...new Set([...inputs].flatMap((path) => PACKAGE.exec(path)?.[0] ?? []))].toSorted();
}

/** Reads what a package says of its licence. Throws when there is no telling: then it must not be given to others. */
export async function thirdPartyIn(root: string, path: string): Promise<ThirdParty> {
  const dir = join(root, path);
  const { name, version, license, author } = JSON.parse(await readFile(join(dir, 'package.json'), 'utf8'));
  const files = (await readdir(dir)).filter((file) => LICENCE_FILE.test(file)).toSorted();
  const texts = await Promise.all(files.map((file) => readFile(join(dir, file), 'utf8')));
  if (texts.length === 0) {
    const section = await readmeSection(dir);
    // Some authors only name it.
    const stated = license === 'MIT' ? `Copyright (c) ${authorOf(author)}\n\n${MIT}` : undefined;
    const text = section ?? stated;
    if (text === undefined) throw new Error(`${path} has no text of its licence (${license}): it cannot be bundled`);
    texts.push(text);
  }
  return { path, name, version, license: String(license), text: texts.map((text) => text.trim()).join('\n\n') };
}

/** The notices that a bundle is given away with: every package, and the whole text of its licence. */
export function renderNotices(packages: readonly ThirdParty[]): string {
  const parts = packages.map(({ name, version, license, text }) => `${name} ${version} (${license})\n\n${text}\n`);
  const about = 'Drawbridge contains the following software of others, each under its own licence.\n';
  return [about, ...parts].join(`\n${'-'.repeat(80)}\n`);
}

/** A manifest has its author as text or as an object. */
function authorOf(author: string | { readonly name: string } | undefined): string {
  return typeof author === 'object' ? author.name : (author ?? 'its authors');
}

/** What the README has under "License", when that is the whole text. */
async function readmeSection(dir: string): Promise<string | undefined> {
  const file = (await readdir(dir)).find((name) => /^readme\.md$/i.test(name));
  const text = file === undefined ? '' : await readFile(join(dir, file), 'utf8');
  const section = /^#+ *licen[cs]e *$([^]*)/im.exec(text)?.[1];
  return section?.includes('Permission is hereby granted') === true ? section : undefined;
}
