import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { DrawbridgeClient } from '@drawbridge/client';
import type { HttpOptions } from '@drawbridge/client';
import { dataDirOf } from '@drawbridge/runtime/data-dir';
import { Contexts, LOCAL_CONTEXT } from './contexts.ts';
import type { Context } from './contexts.ts';
import { NotSignedInError, UsageError } from './exit-codes.ts';
import { httpFetch } from './http-fetch.ts';
import { readLocal } from './local.ts';

/** A control plane, and in whose name it is asked. */
export interface Access {
  readonly url: string;
  readonly token: string;
  /** PEM of the authority to trust instead of the system's. */
  readonly ca: string | undefined;
  /** The context it comes from; null when the environment names it. */
  readonly context: string | null;
}

/** Which control plane the command line asks for. */
export interface AccessOptions {
  readonly context?: string;
}

type Env = NodeJS.ProcessEnv;

/**
 * The control plane to talk to: the one `--context` names; else DRAWBRIDGE_URL with DRAWBRIDGE_TOKEN or DRAWBRIDGE_TOKEN_FILE; else
 * the current context; else the one that `up` runs on this machine.
 */
export async function findAccess({ context }: AccessOptions, env: Env): Promise<Access> {
  if (context === undefined && setIn(env, 'DRAWBRIDGE_URL') !== undefined) return environmentAccess(env);
  const contexts = await Contexts.open(dataDirOf(undefined, env));
  const name = context ?? contexts.currentName ?? LOCAL_CONTEXT;
  return name === LOCAL_CONTEXT ? localAccess(env) : contextAccess(contexts.get(name), env);
}

/** What the client's package needs to talk to it. */
export function httpOptionsFor({
  url,
  token,
  ca,
}: Omit<Access, 'context' | 'token'> & { token?: string }): HttpOptions {
  return { url, token, fetch: httpFetch({ ca, env: process.env }) };
}

/** A client for it, whose connections trust the given authority. */
export function clientFor(access: Omit<Access, 'context'>): DrawbridgeClient {
  return new DrawbridgeClient(httpOptionsFor(access));
}

/** The client of the control plane this command is about. */
export async function connect(options: AccessOptions): Promise<DrawbridgeClient> {
  return clientFor(await findAccess(options, process.env));
}

/** The authority that DRAWBRIDGE_CA names: a file, or its text. */
export async function caOf(fileOrPem: string | undefined): Promise<string | undefined> {
  if (fileOrPem === undefined || fileOrPem.startsWith('-----BEGIN ')) return fileOrPem;
  return readSmallFile('the authority', fileOrPem);
}

/** A file that the caller names, without the white space around it. */
export async function readSmallFile(what: string, path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (cause) {
    const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error';
    throw new UsageError(`${what} cannot be read from ${path}: ${reason}`, { cause });
  }
}

async function environmentAccess(env: Env): Promise<Access> {
  const url = setIn(env, 'DRAWBRIDGE_URL') ?? '';
  const file = setIn(env, 'DRAWBRIDGE_TOKEN_FILE');
  const token = setIn(env, 'DRAWBRIDGE_TOKEN') ?? (file && (await readSmallFile('DRAWBRIDGE_TOKEN_FILE', file)));
  if (token === undefined) {
    throw new NotSignedInError('DRAWBRIDGE_URL is set: set DRAWBRIDGE_TOKEN or DRAWBRIDGE_TOKEN_FILE too');
  }
  return { url: parseUrl(url), token, ca: await caOf(setIn(env, 'DRAWBRIDGE_CA')), context: null };
}

async function contextAccess({ name, url, token, ca }: Context, env: Env): Promise<Access> {
  if (token === null) throw new NotSignedInError(`not signed in to ${url}: drawbridge login ${url}`);
  return { url, token, ca: ca ?? (await caOf(setIn(env, 'DRAWBRIDGE_CA'))), context: name };
}

async function localAccess(env: Env): Promise<Access> {
  const checkout = fileURLToPath(new URL('../../../.drawbridge', import.meta.url));
  for (const dir of new Set([setIn(env, 'DRAWBRIDGE_DATA') ?? checkout, checkout, dataDirOf(undefined, env)])) {
    const local = await readLocal(dir);
    if (local === undefined) continue;
    const token = await readSmallFile('the token of the local control plane', local.token_file);
    return { url: local.url, token, ca: undefined, context: LOCAL_CONTEXT };
  }
  throw new NotSignedInError(
    'not signed in to any control plane: drawbridge login URL, or start one with drawbridge up',
  );
}

/** The address of a control plane, as it is kept. Throws UsageError for what is none. */
export function parseUrl(text: string): string {
  const url = URL.parse(text.includes('://') ? text : `https://${text}`);
  if (url === null || !['http:', 'https:'].includes(url.protocol) || url.hostname === '') {
    throw new UsageError(`${text} is no address: write https://control.example.com`);
  }
  const { origin } = url;
  if (url.href !== `${origin}/`) throw new UsageError(`the address of a control plane is no more than ${origin}`);
  return origin;
}

function setIn(env: Env, name: string): string | undefined {
  return env[name] === '' ? undefined : env[name];
}
