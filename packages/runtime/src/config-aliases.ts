import { isDeepStrictEqual } from 'node:util';
import { type ConfigIssue, keyOf } from './config-issue.ts';
import { type Tree, getAt, merge, treeAt, withoutPath } from './deep.ts';

/** A key under another name: where it is written, where it belongs, and how its value is told there. */
export interface Alias {
  readonly from: readonly string[];
  readonly to: readonly string[];
  readonly convert?: (value: unknown) => unknown;
}

/** Moves every alias in `tree` to its own key. Both names with different values is an issue; our own name wins then. */
export function resolveAliases(tree: Tree, aliases: readonly Alias[], source: string, issues: ConfigIssue[]): Tree {
  let result = tree;
  for (const { from, to, convert } of aliases) {
    const found = getAt(result, from);
    if (found === undefined) continue;
    const value = convert === undefined ? found : convert(found);
    result = withoutPath(result, from);
    const existing = getAt(result, to);
    if (existing === undefined) result = merge(result, treeAt(to, value));
    else if (!isDeepStrictEqual(existing, value)) {
      issues.push({
        source,
        key: keyOf(from),
        reason: `is another name of ${keyOf(to)}, which is set to something else`,
      });
    }
  }
  return result;
}
