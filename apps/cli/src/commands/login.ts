import { hostname } from 'node:os';
import type { Command } from 'commander';
import { ApiError, awaitLogin, requestLogin, signInWithPassword, whoAmI } from '@drawbridge/client';
import type { HttpOptions } from '@drawbridge/client';
import { dataDirOf } from '@drawbridge/runtime/data-dir';
import { isLoopbackHost } from '@drawbridge/runtime/proxy';
import { caOf, httpOptionsFor, parseUrl, readSmallFile } from '../access.ts';
import { askSecret, readSecret } from '../ask.ts';
import { Contexts, LOCAL_CONTEXT } from '../contexts.ts';
import { describeCommand } from '../describe-command.ts';
import { NotSignedInError, UsageError } from '../exit-codes.ts';
import { openBrowser } from '../open-browser.ts';
import { line, note, plain, print } from '../output.ts';
import { patience } from '../patience.ts';

interface LoginOptions {
  readonly token?: string;
  readonly tokenFile?: string;
  readonly user?: string;
  readonly link?: boolean;
  readonly ca?: string;
  readonly context?: string;
  readonly json?: boolean;
}

/** A token, and whose to end it is. */
interface SignedIn {
  readonly token: string;
  readonly kind: 'session' | 'token';
  readonly expiresAt: string | null;
}

export function defineLogin(command: Command): void {
  describeCommand(command, {
    does: 'Signs in to a control plane and remembers it: with a browser, a password or a token.',
    examples: [
      'login https://control.example.com',
      'login https://control.example.com --user ann',
      'login https://control.example.com --token-file ~/token --context lab',
    ],
    json: 'document',
    isRemote: false,
  })
    .argument('[url]', 'its address; left out: the current one, once more')
    .option('--user <name>', 'sign in with a password, which is asked for, or read from a pipe')
    .option('--token <->', 'an API token from standard input')
    .option('--token-file <file>', 'an API token from a file')
    .option('--link', 'print a link to open in any browser (default in a terminal)')
    .option('--ca <file>', 'the authority that signed its certificate, if it is your own')
    .option('--context <context>', 'remember it under this name (default: its host)')
    .action(async (url: string | undefined, options: LoginOptions) => login(url, options));
}

async function login(given: string | undefined, options: LoginOptions): Promise<void> {
  const contexts = await Contexts.open(dataDirOf(undefined, process.env));
  const known = given === undefined ? knownContext(contexts, options.context) : undefined;
  const url = parseUrl(given ?? known?.url ?? '');
  const name = options.context ?? known?.name ?? new URL(url).host;
  if (name === LOCAL_CONTEXT)
    throw new UsageError(`"${LOCAL_CONTEXT}" is what "drawbridge up" runs: take another name`);
  const { hostname: host, protocol } = new URL(url);
  if (protocol === 'http:' && !isLoopbackHost(host)) {
    note(`${url} is not encrypted: whoever is in between can read the token`, 'yellow');
  }
  const ca = (await caOf(options.ca)) ?? known?.ca ?? (await caOf(process.env['DRAWBRIDGE_CA'])) ?? null;
  const http = httpOptionsFor({ url, ca: ca ?? undefined });
  const { token, kind, expiresAt } = await signIn(http, options).catch((error: unknown) => refused(error, url));
  const identity = await whoAmI({ ...http, token }).catch((error: unknown) => refused(error, url));
  const user = identity.name ?? identity.id;
  await contexts.put({ name, url, token, kind, ca, user, expires_at: expiresAt });
  print({ context: name, url, user, expires_at: expiresAt }, options, () => line(`signed in to ${url} as ${user}`));
}

function knownContext(contexts: Contexts, name: string | undefined) {
  const known = name === undefined ? contexts.current : contexts.get(name);
  if (known === undefined) throw new UsageError('which control plane? drawbridge login https://control.example.com');
  return known;
}

function signIn(http: HttpOptions, options: LoginOptions): Promise<SignedIn> {
  const { token, tokenFile, user, link } = options;
  const ways = [token, tokenFile, user, link].filter((way) => way !== undefined);
  if (ways.length > 1) throw new UsageError('give one of --token, --token-file, --user and --link');
  if (token !== undefined) return withToken(token);
  if (tokenFile !== undefined) return withTokenFile(tokenFile);
  if (user !== undefined) return withPassword(http, user);
  if (link === true || process.stdin.isTTY) return withLink(http);
  throw new UsageError('this is no terminal: give --token -, --token-file FILE, --user NAME or --link');
}

/** An argument can be read by everybody on this machine: a token is none. */
async function withToken(source: string): Promise<SignedIn> {
  if (source !== '-') throw new UsageError('give the token on standard input (--token -) or in a file (--token-file)');
  return { token: (await readSecret()).trim(), kind: 'token', expiresAt: null };
}

async function withTokenFile(file: string): Promise<SignedIn> {
  return { token: await readSmallFile('the token', file), kind: 'token', expiresAt: null };
}

async function withPassword(http: HttpOptions, user: string): Promise<SignedIn> {
  const password = await askSecret({ question: `Password of ${plain(user)}: ` });
  const { token, expires_at: expiresAt } = await signInWithPassword(http, { user, password, label: label() });
  return { token, kind: 'session', expiresAt };
}

async function withLink(http: HttpOptions): Promise<SignedIn> {
  const request = await requestLogin(http, label());
  const isOpen = await openBrowser(request.verification_url, process.env);
  const where = isOpen
    ? 'A browser was opened. If it shows nothing, open'
    : 'Open this link in a browser, here or elsewhere';
  note(`${where}:`);
  process.stderr.write(`\n  ${plain(request.verification_url)}\n\n`);
  note('and confirm there that this is the code:');
  process.stderr.write(`\n  ${plain(request.user_code)}\n\n`);
  note('Waiting for it … (Ctrl-C gives up)');
  const { token, expires_at: expiresAt } = await awaitLogin(http, request, patience());
  return { token, kind: 'session', expiresAt };
}

/** What the session is called in the list of sessions. */
function label(): string {
  return `command line on ${hostname()}`.slice(0, 100);
}

function refused(error: unknown, url: string): never {
  if (error instanceof ApiError && error.status === 401) {
    throw new NotSignedInError(`${url} does not let you in: ${error.message}`, { cause: error });
  }
  throw error;
}
