import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Agent, fetch as undiciFetch } from 'undici';
import { z } from 'zod';
import { DrawbridgeClient } from '@drawbridge/client';
import type { FetchLike } from '@drawbridge/client';
import { dataDirOf } from '@drawbridge/runtime';
import { UsageError } from './exit-codes.ts';

/** local.json: how to reach the control plane that `up` started here. */
export const LocalFile = z.object({ url: z.url(), token_file: z.string(), pid: z.number().int() });
export type LocalFile = z.infer<typeof LocalFile>;
export const LOCAL_FILE = 'local.json';

export interface Access {
  readonly url: string;
  readonly token: string;
  readonly ca: string | undefined;
}

/**
 * The control plane to talk to: DRAWBRIDGE_URL with DRAWBRIDGE_TOKEN or DRAWBRIDGE_TOKEN_FILE and perhaps DRAWBRIDGE_CA;
 * else the one that `up` runs on this machine.
 */
async function findAccess(env: NodeJS.ProcessEnv): Promise<Access> {
  const url = env['DRAWBRIDGE_URL'];
  if (url === undefined) return localAccess(env);
  const token = env['DRAWBRIDGE_TOKEN'] ?? (await readTokenFile(env['DRAWBRIDGE_TOKEN_FILE']));
  if (token === undefined)
    throw new UsageError('DRAWBRIDGE_URL is set: set DRAWBRIDGE_TOKEN or DRAWBRIDGE_TOKEN_FILE too');
  const ca = env['DRAWBRIDGE_CA'];
  return { url, token, ca: ca === undefined ? undefined : await readFile(ca, 'utf8') };
}

/** A client for it, whose connections trust the given authority. */
export function clientFor({ url, token, ca }: Access): DrawbridgeClient {
  // A stream may be silent for hours: whoever reads it decides how long to wait.
  const dispatcher = new Agent({ bodyTimeout: 0, headersTimeout: 0, ...(ca === undefined ? {} : { connect: { ca } }) });
  const fetch: FetchLike = (target, init) => undiciFetch(target, { ...init, dispatcher });
  return new DrawbridgeClient({ url, token, fetch });
}

/** The client of the control plane this command is about. */
export async function connect(): Promise<DrawbridgeClient> {
  return clientFor(await findAccess(process.env));
}

async function localAccess(env: NodeJS.ProcessEnv): Promise<Access> {
  const checkout = fileURLToPath(new URL('../../../.drawbridge', import.meta.url));
  for (const dir of new Set([env['DRAWBRIDGE_DATA'] ?? checkout, checkout, dataDirOf(undefined, env)])) {
    const local = await readLocal(dir);
    if (local !== undefined)
      return { url: local.url, token: (await readFile(local.token_file, 'utf8')).trim(), ca: undefined };
  }
  throw new UsageError('no control plane: start one with "drawbridge up", or set DRAWBRIDGE_URL and DRAWBRIDGE_TOKEN');
}

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

async function readTokenFile(path: string | undefined): Promise<string | undefined> {
  return path === undefined ? undefined : (await readFile(path, 'utf8')).trim();
}
