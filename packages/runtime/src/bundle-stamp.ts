import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

/** The file in a bundle that says what the bundle was made of. */
export const STAMP_FILE = 'stamp.json';

/** What a bundle was made of: each file by its path in the checkout, with its SHA-256. */
export const BundleStamp = z.strictObject({ version: z.string(), inputs: z.record(z.string(), z.string()) });
export type BundleStamp = z.infer<typeof BundleStamp>;

/** The stamp of a bundle made of these files of the checkout `root`; a folder stands for the files in it. */
export async function stampOf(root: string, version: string, paths: Iterable<string>): Promise<BundleStamp> {
  const inputs: Record<string, string> = {};
  for (const path of new Set([...paths].toSorted())) inputs[path] = await hashOf(join(root, path));
  return { version, inputs };
}

/**
 * Whether the bundle in `dir` is what the checkout `root` would make now: every file it was made of is as it was. A file that
 * is new since then counts once one of these names it, for that changes it. No bundle is not current.
 */
export async function isBundleCurrent(root: string, dir: string): Promise<boolean> {
  try {
    const before = BundleStamp.parse(JSON.parse(await readFile(join(dir, STAMP_FILE), 'utf8')));
    const now = await stampOf(root, before.version, Object.keys(before.inputs));
    return Object.entries(before.inputs).every(([path, hash]) => now.inputs[path] === hash);
  } catch {
    // A stamp that is missing or none of ours, a file that is gone.
    return false;
  }
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    hash.update(await readFile(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EISDIR') throw error;
    for (const name of (await readdir(path)).toSorted())
      hash.update(`${name}\0`).update(await hashOf(join(path, name)));
  }
  return hash.digest('hex');
}
