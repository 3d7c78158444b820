import { type Shape, convert, propertiesOf, shapeAt, valuesOf } from './config-shape.ts';
import type { Env } from './proxy.ts';

/** One value that an environment variable sets. */
export interface EnvSetting {
  readonly variable: string;
  readonly path: readonly string[];
  readonly value: unknown;
}

/** Variables under names that other programs gave them, and the key each sets. */
export type EnvNames = Readonly<Record<string, readonly string[]>>;

/**
 * What the environment says: every key of `shape` has the variable `DRAWBRIDGE_<SECTION>_<KEY>`, and `names` adds more.
 * An empty variable says nothing. Variables that belong to no key are somebody else's.
 */
export function settingsFromEnv(shape: Shape, env: Env, names: EnvNames): EnvSetting[] {
  const set = new Map(
    Object.entries(env).flatMap(([name, text]) => (text === undefined || text === '' ? [] : [[name, text]])),
  );
  const own = [...set].flatMap(([variable, text]) =>
    pathsOf(variable, 'DRAWBRIDGE', shape).map((path) => ({
      variable,
      path,
      value: convert(text, shapeAt(shape, path)),
    })),
  );
  const others = Object.entries(names).flatMap(([variable, path]) => {
    const text = set.get(variable);
    return text === undefined ? [] : [{ variable, path, value: convert(text, shapeAt(shape, path)) }];
  });
  return [...own, ...others];
}

/** The key that `variable` names, below `prefix`: none or one, unless a schema has both `a.b_c` and `a_b.c`. */
function pathsOf(variable: string, prefix: string, shape: Shape): string[][] {
  if (variable === prefix) return [[]];
  if (!variable.startsWith(`${prefix}_`)) return [];
  const fixed = propertiesOf(shape).flatMap(([key, child]) =>
    pathsOf(variable, `${prefix}_${key.toUpperCase()}`, child).map((path) => [key].concat(path)),
  );
  if (fixed.length > 0) return fixed;
  const values = valuesOf(shape);
  return values === undefined ? [] : pathsInRecord(variable.slice(prefix.length + 1), values);
}

/** `CLAUDE_BINARY` is the key `binary` of the entry `claude`; a record of plain values has the whole rest as its key. */
function pathsInRecord(rest: string, values: Shape): string[][] {
  const properties = propertiesOf(values);
  if (properties.length === 0) return [[rest.toLowerCase()]];
  const key = properties.map(([name]) => name).find((name) => rest.endsWith(`_${name.toUpperCase()}`));
  return key === undefined ? [] : [[rest.slice(0, -key.length - 1).toLowerCase(), key]];
}
