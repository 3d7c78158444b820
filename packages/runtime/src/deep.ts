/** A tree as YAML and JSON know it: the values of its keys are not known yet. */
export type Tree = Readonly<Record<string, unknown>>;

/** The keys that lead to a value; an item of a list has its index. */
export type Path = readonly PropertyKey[];

/** Whether `value` is a tree, and neither a list nor an object with a class of its own. */
export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/** `upper` laid over `lower`: trees are merged key by key, anything else replaces what was there. `undefined` says nothing. */
export function merge(lower: Tree, upper: Tree): Tree {
  const merged: Record<string, unknown> = { ...lower };
  for (const [key, value] of Object.entries(upper)) {
    if (value === undefined) continue;
    const below = merged[key];
    merged[key] = isTree(below) && isTree(value) ? merge(below, value) : value;
  }
  return merged;
}

/** The value at `path`, or undefined. */
export function getAt(tree: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (node, key) => (isTree(node) || Array.isArray(node) ? Reflect.get(node, key) : undefined),
    tree,
  );
}

/** A tree that holds nothing but `value` at `path`. */
export function treeAt(path: readonly string[], value: unknown): Tree {
  const [key, ...rest] = path;
  if (key === undefined) throw new RangeError('a path has a key');
  return { [key]: rest.length === 0 ? value : treeAt(rest, value) };
}

/** The tree without what is at `path`, and without the trees that this leaves empty. */
export function withoutPath(tree: Tree, path: readonly string[]): Tree {
  const [key, ...deeper] = path;
  if (key === undefined || !Object.hasOwn(tree, key)) return tree;
  const { [key]: value, ...others } = tree;
  if (deeper.length === 0 || !isTree(value)) return others;
  const left = withoutPath(value, deeper);
  return Object.keys(left).length === 0 ? others : { ...tree, [key]: left };
}

/** Freezes a value and everything in it. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(deepFreeze);
  }
  return value;
}
