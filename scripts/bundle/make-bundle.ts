import { chmod, cp, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { STAMP_FILE, stampOf } from '@drawbridge/runtime/bundle-stamp';
import { build } from 'esbuild';
import { packagesOf, renderNotices, thirdPartyIn } from './notices.ts';
import { PROGRAMS, assetsOf, optionsOf } from './programs.ts';
import { referencesPlugin } from './references.ts';

/** The licences of everything in a bundle that is not ours. */
export const NOTICES_FILE = 'THIRD-PARTY-NOTICES';

/** What decides how a bundle looks, beside the sources in it. */
const RECIPE = ['package-lock.json', 'package.json', 'scripts/bundle', 'scripts/bundle.ts'];

/**
 * Bundles the programs of the checkout `root` into `outDir`, which then needs neither the checkout nor `node_modules`. What is
 * there stays until the new bundle is whole, and is replaced by it.
 */
export async function makeBundle(root: string, outDir: string): Promise<void> {
  const made = `${outDir}.new-${process.pid}`;
  await rm(made, { recursive: true, force: true });
  await mkdir(dirname(made), { recursive: true });
  try {
    await fill(root, made);
    await putInPlace(made, outDir);
  } finally {
    await rm(made, { recursive: true, force: true });
  }
}

async function fill(root: string, dir: string): Promise<void> {
  const plugins = [referencesPlugin(root)];
  const inputs: string[] = [];
  // One after the other: when one fails, no other still writes.
  for (const program of PROGRAMS) {
    const { metafile } = await build({ ...optionsOf(program, root, dir), plugins });
    inputs.push(...Object.keys(metafile?.inputs ?? {}));
  }
  const packages = await Promise.all(packagesOf(inputs).map((path) => thirdPartyIn(root, path)));
  await writeFile(join(dir, NOTICES_FILE), renderNotices(packages));

  const assets = assetsOf(root);
  for (const { output, source } of assets) await cp(join(root, source), join(dir, output), { recursive: true });
  await chmod(join(dir, 'drawbridge.js'), 0o755);
  const { name, version, license } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  const manifest = { name, version, license, type: 'module', bin: { drawbridge: 'drawbridge.js' } };
  await writeFile(join(dir, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);

  // The lockfile stands for what is in `node_modules`.
  const own = inputs.filter((path) => packagesOf([path]).length === 0);
  const stamp = await stampOf(root, version, [...own, ...assets.map(({ source }) => source), ...RECIPE]);
  await writeFile(join(dir, STAMP_FILE), `${JSON.stringify(stamp)}\n`);
}

async function putInPlace(made: string, outDir: string): Promise<void> {
  const old = `${outDir}.old-${process.pid}`;
  try {
    await rename(outDir, old);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  await rename(made, outDir);
  await rm(old, { recursive: true, force: true });
}
