import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

/** local.json: how to reach the control plane that `up` started here. */
export const LocalFile = z.object({ url: z.url(), token_file: z.string(), pid: z.number().int() });
export type LocalFile = z.infer<typeof LocalFile>;
export const LOCAL_FILE = 'local.json';

/** How to reach the control plane that runs on `dataDir`, if `up` has one running there. */
export async function readLocal(dataDir: string): Promise<LocalFile | undefined> {
  try {
    const local = LocalFile.parse(JSON.parse(await readFile(join(dataDir, LOCAL_FILE), 'utf8')));
    process.kill(local.pid, 0);
    return local;
  } catch {
    return undefined;
  }
}
