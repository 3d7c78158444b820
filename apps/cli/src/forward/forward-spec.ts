import type { TunnelTarget } from '@drawbridge/protocol';
import { UsageError } from '../exit-codes.ts';

/** One local port, and where its connections lead, as the agent sees it. */
export interface Forward {
  /** Undefined: every address of this machine. */
  readonly bind: string | undefined;
  /** 0: a free one. */
  readonly port: number;
  readonly target: TunnelTarget;
}

const LOOPBACK = '127.0.0.1';
const HOST_CHARACTERS_MAX = 253;
const SOCKET_PATH_CHARACTERS_MAX = 104;

/**
 * `[BIND:]PORT:HOST:PORT`, `[BIND:]PORT:unix:/path`, and shorter `PORT:PORT` and `PORT` for ports of the agent's machine itself. IPv6 addresses
 * stand in brackets, and `*` binds every address. Throws UsageError.
 */
export function parseForward(text: string): Forward {
  const [, before = text, path] = /^(.*?):unix:(.*)$/s.exec(text) ?? [];
  const words = wordsOf(before, text);
  if (path !== undefined) return { ...localOf(words, text), target: { unix: socketPath(path, text) } };
  const [first = '', second] = words;
  if (words.length === 1) return { bind: LOOPBACK, port: port(first, text), target: target(LOOPBACK, first, text) };
  if (words.length === 2) return { bind: LOOPBACK, port: port(first, text), target: target(LOOPBACK, second, text) };
  const local = words.slice(0, -2);
  // A BIND in front of the short form: a port stands where a host would.
  if (words.length === 3 && !isNumber(first))
    return { ...localOf(words.slice(0, 2), text), target: target(LOOPBACK, words[2], text) };
  return { ...localOf(local, text), target: target(words.at(-2) ?? '', words.at(-1), text) };
}

/** A port to reach. Throws UsageError for what is none. */
export function parsePort(word: string): number {
  if (isNumber(word) && Number(word) >= 1 && Number(word) <= 65_535) return Number(word);
  throw new UsageError(`${word} is no port: write 1 to 65535`);
}

/** `host:port` or `unix:/path`, as it is written. */
export function targetText(target: TunnelTarget): string {
  return 'unix' in target ? `unix:${target.unix}` : addressText(target.host, target.port);
}

/** With brackets where the host is an IPv6 address. */
export function addressText(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function localOf(words: readonly string[], text: string): Pick<Forward, 'bind' | 'port'> {
  const [first = '', second] = words;
  if (words.length > 2) throw wrong(text, 'write [BIND:]PORT:HOST:PORT, and IPv6 addresses in brackets');
  if (second === undefined) return { bind: LOOPBACK, port: port(first, text) };
  if (first === '') throw wrong(text, 'the address to bind is empty: write * for all of them');
  return { bind: first === '*' ? undefined : first, port: port(second, text) };
}

function target(host: string, remotePort: string | undefined, text: string): TunnelTarget {
  if (host === '' || host.length > HOST_CHARACTERS_MAX) throw wrong(text, 'the host to reach is empty, or too long');
  const number = port(remotePort ?? '', text);
  if (number === 0) throw wrong(text, 'the port to reach is 1 to 65535');
  return { host, port: number };
}

function socketPath(path: string, text: string): string {
  if (path.startsWith('/') && path.length <= SOCKET_PATH_CHARACTERS_MAX) return path;
  throw wrong(text, `the path of a socket starts with / and has at most ${SOCKET_PATH_CHARACTERS_MAX} characters`);
}

function port(word: string, text: string): number {
  if (isNumber(word) && Number(word) <= 65_535) return Number(word);
  throw wrong(text, `${word === '' ? 'a port is missing' : `${word} is no port`}: write [BIND:]PORT:HOST:PORT`);
}

function isNumber(word: string): boolean {
  return /^\d{1,5}$/.test(word);
}

const WORD = /(?:^|:)(?:\[([^\]]*)\]|([^:[\]]*))(?=:|$)/g;

/** Words between colons; brackets hold an address together, and are taken off. */
function wordsOf(before: string, text: string): string[] {
  const found = [...before.matchAll(WORD)];
  // What was no word was left out.
  if (found.map(([word]) => word).join('') !== before) throw wrong(text, 'brackets stand around an IPv6 address alone');
  return found.map(([, held, bare]) => held ?? bare ?? '');
}

function wrong(text: string, why: string): UsageError {
  return new UsageError(`${text}: ${why}`);
}
