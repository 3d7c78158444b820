import { isDeepStrictEqual } from 'node:util';
import { stringify } from 'yaml';
import type { z } from 'zod';
import { type Alias, resolveAliases } from './config-aliases.ts';
import { type EnvNames, type EnvSetting, settingsFromEnv } from './config-env.ts';
import { readConfigFile } from './config-file.ts';
import { type ConfigIssue, configError, keyOf } from './config-issue.ts';
import { convert, shapeAt, shapeOf } from './config-shape.ts';
import { type Path, type Tree, deepFreeze, getAt, merge, treeAt } from './deep.ts';
import { escapeVariables, interpolate } from './interpolate.ts';
import type { Env } from './proxy.ts';
import { redact } from './redact.ts';

/** Where a configuration comes from, the strongest last. */
export interface ConfigSources {
  /** A YAML file; without one there are defaults. */
  readonly file?: string | undefined;
  readonly env: Env;
  /** What the command line says; a value that is undefined says nothing. */
  readonly overrides?: Tree;
  /** Keys under the names that other programs gave them. */
  readonly aliases?: readonly Alias[];
  /** Environment variables under the names that other programs gave them. */
  readonly envNames?: EnvNames;
}

const COMMAND_LINE = 'command line';

/**
 * The configuration, parsed and frozen. Everything that is wrong with it comes in one ControlError, `invalid_request`, with a
 * line `source: key: reason` for each.
 */
export function loadConfig<S extends z.ZodType>(schema: S, sources: ConfigSources): z.output<S> {
  const { file, env, overrides = {}, aliases = [], envNames = {} } = sources;
  const shape = shapeOf(schema);
  const issues: ConfigIssue[] = [];

  const written = file === undefined ? {} : readConfigFile(file);
  // The path may be an alias: its own name decides the type.
  const targetOf = (key: string) => aliases.find(({ from }) => keyOf(from) === key)?.to;
  const interpolated = interpolateTree(written, {
    source: file ?? '',
    env,
    issues,
    interpolated: (path, text) => convert(text, shapeAt(shape, targetOf(keyOf(path)) ?? path)),
  });
  const fromFile = resolveAliases(interpolated, aliases, file ?? '', issues);

  const settings = settingsFromEnv(shape, env, envNames);
  const fromEnv = settings.reduce<Tree>((tree, setting) => merge(tree, treeAt(setting.path, setting.value)), {});
  issues.push(...conflicts(settings));

  const parsed = schema.safeParse(merge(merge(fromFile, fromEnv), overrides));
  const sourceOf = (path: Path) => {
    if (getAt(overrides, path) !== undefined) return COMMAND_LINE;
    return settings.find((setting) => isWithin(path, setting.path))?.variable ?? file ?? 'configuration';
  };
  // What is wrong is told under the name it was written with.
  const nameOf = (path: Path) =>
    aliases.find(({ from, to }) => isWithin(path, to) && has(written, from) && !has(written, to))?.from ?? path;
  if (!parsed.success) {
    const found = parsed.error.issues.flatMap((issue) => describe(issue, sourceOf, nameOf));
    // A variable that is missing leaves a value that is wrong, which is no news.
    const known = new Set(issues.map(({ key }) => key));
    issues.push(...found.filter(({ key }) => !known.has(key)));
  }
  if (issues.length > 0 || !parsed.success) throw configError(issues);
  return deepFreeze(parsed.data);
}

/** The configuration as YAML, for people; secrets are not in it. Read as a file, it says the same again. */
export function printConfig(config: unknown): string {
  const plain: unknown = JSON.parse(redact(JSON.stringify(config)));
  return stringify(escapeVariables(plain));
}

function interpolateTree(tree: Tree, into: Parameters<typeof interpolate>[1]): Tree {
  return Object.fromEntries(Object.entries(tree).map(([key, value]) => [key, interpolate(value, into, [key])]));
}

/** Two variables that set one key to different things. */
function conflicts(settings: readonly EnvSetting[]): ConfigIssue[] {
  return settings.flatMap((setting, index) => {
    const earlier = settings.slice(0, index).find(({ path }) => isDeepStrictEqual(path, setting.path));
    if (earlier === undefined || isDeepStrictEqual(earlier.value, setting.value)) return [];
    const reason = `is set to something else by ${earlier.variable}`;
    return [{ source: setting.variable, key: keyOf(setting.path), reason }];
  });
}

function describe(
  issue: z.core.$ZodIssue,
  sourceOf: (path: Path) => string,
  nameOf: (path: Path) => Path,
): ConfigIssue[] {
  if (issue.code !== 'unrecognized_keys') {
    return [{ source: sourceOf(issue.path), key: keyOf(nameOf(issue.path)), reason: issue.message }];
  }
  return issue.keys.map((key) => {
    const path = [...issue.path, key];
    return { source: sourceOf(path), key: keyOf(path), reason: 'unknown key' };
  });
}

function has(tree: Tree, path: Path): boolean {
  return getAt(tree, path) !== undefined;
}

function isWithin(path: Path, outer: Path): boolean {
  return outer.every((key, index) => key === path[index]);
}
