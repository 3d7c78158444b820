import { ControlError } from '@drawbridge/protocol';
import type { Path } from './deep.ts';

/** One thing that is wrong with a configuration. */
export interface ConfigIssue {
  /** The file, the environment variable or `command line` it was read from. */
  readonly source: string;
  /** The key, dotted; empty when it is about the whole source. */
  readonly key: string;
  readonly reason: string;
}

/** The key a path leads to, dotted. */
export function keyOf(path: Path): string {
  return path.map(String).join('.');
}

/** All that is wrong, as the one error that stops the start. */
export function configError(issues: readonly ConfigIssue[]): ControlError {
  const lines = issues.map(({ source, key, reason }) => [source, key, reason].filter((part) => part !== '').join(': '));
  return new ControlError('invalid_request', lines.join('\n'));
}
