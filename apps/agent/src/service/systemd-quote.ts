import { ControlError } from '@drawbridge/protocol';

/** What systemd takes as it stands. */
const PLAIN = /^[\w@./:,+=-]+$/;

/** A value as a unit file has it where one line is one value: `%` begins a specifier. */
export function escapeSpecifiers(text: string): string {
  requireOneLine(text);
  return text.replaceAll('%', '%%');
}

/** One word of a list of words, such as an assignment of `Environment=`. */
export function quoteWord(text: string): string {
  const escaped = escapeSpecifiers(text);
  return PLAIN.test(text) ? text : `"${escaped.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

/**
 * A command line for `ExecStart=`. Variables are replaced in its arguments, and not in the path of the program, for which
 * systemd takes no quotes and no backslash.
 */
export function quoteCommand([program, ...args]: readonly [string, ...string[]]): string {
  if (/["'\\]/.test(program)) {
    throw new ControlError('invalid_request', `${program}: systemd runs no program with such a path`);
  }
  return [quoteWord(program), ...args.map((arg) => quoteWord(arg).replaceAll('$', '$$$$'))].join(' ');
}

/** A line end in a path would begin a new setting. */
function requireOneLine(text: string): void {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (!/[\x00-\x1f\x7f]/.test(text)) return;
  throw new ControlError('invalid_request', `${JSON.stringify(text)}: a path with control characters is no use here`);
}
