import { parseArgs } from 'node:util';
import type { ParseArgsConfig } from 'node:util';
import { ControlError } from '@drawbridge/protocol';

/** A command line, by what `config` says of it. Throws ControlError `invalid_request` naming what it does not know. */
export function parseArguments<const Config extends ParseArgsConfig>(
  config: Config,
): ReturnType<typeof parseArgs<Config>> {
  try {
    return parseArgs(config);
  } catch (cause) {
    // What is wrong with `config` itself is no fault of who typed.
    if (!isOfCommandLine(cause)) throw cause;
    throw new ControlError('invalid_request', cause.message, { cause });
  }
}

function isOfCommandLine(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS_');
}
