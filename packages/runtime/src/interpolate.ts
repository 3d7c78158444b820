import { type ConfigIssue, keyOf } from './config-issue.ts';
import { type Path, isTree } from './deep.ts';
import type { Env } from './proxy.ts';

/** Where strings are interpolated, and who is told about variables that are missing. */
export interface Interpolation {
  readonly source: string;
  readonly env: Env;
  readonly issues: ConfigIssue[];
  /** The values that came from variables: text still, whatever the key wants. */
  readonly interpolated: (path: Path, text: string) => unknown;
}

/** `$${` is a plain `${`; `${NAME}` must be set; `${NAME:-default}` need not be, and empty counts as not set. */
const VARIABLE = /\$\$\{|\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}/g;

/** Replaces variables in every string of `value`. Keys stay as they are. */
export function interpolate(value: unknown, into: Interpolation, path: Path = []): unknown {
  if (typeof value === 'string') return interpolateText(value, into, path);
  if (Array.isArray(value)) return value.map((item, index) => interpolate(item, into, [...path, index]));
  if (!isTree(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, interpolate(item, into, [...path, key])]));
}

/** The value with its strings written so that `interpolate` leaves them as they are. */
export function escapeVariables(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll('${', '$$${');
  if (Array.isArray(value)) return value.map(escapeVariables);
  if (!isTree(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, escapeVariables(item)]));
}

function interpolateText(text: string, { source, env, issues, interpolated }: Interpolation, path: Path): unknown {
  let replaced = false;
  const result = text.replace(VARIABLE, (found: string, name?: string, fallback?: string) => {
    if (name === undefined) return '${';
    replaced = true;
    const value = env[name];
    if (value !== undefined && (value !== '' || fallback === undefined)) return value;
    if (fallback !== undefined) return fallback;
    issues.push({ source, key: keyOf(path), reason: `the environment variable ${name} is not set` });
    return found;
  });
  return replaced ? interpolated(path, result) : result;
}
