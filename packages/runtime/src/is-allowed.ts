/** Two lists of patterns, in which `*` stands for any characters. */
export interface AllowDeny {
  readonly allow: readonly string[];
  readonly deny: readonly string[];
}

/** Whether a name may be used: some `allow` matches and no `deny` does. */
export function isAllowed(name: string, { allow, deny }: AllowDeny): boolean {
  const matches = (pattern: string) => matchesGlob(name, pattern);
  return allow.some(matches) && !deny.some(matches);
}

/** Pieces between stars have to appear in order: no regular expression, so no pattern is slow. */
function matchesGlob(name: string, pattern: string): boolean {
  const [head = '', ...pieces] = pattern.split('*');
  const tail = pieces.pop();
  if (tail === undefined) return name === pattern;
  if (!name.startsWith(head) || !name.endsWith(tail) || name.length < head.length + tail.length) return false;
  let rest = name.slice(head.length, name.length - tail.length);
  return pieces.every((piece) => {
    const index = rest.indexOf(piece);
    rest = rest.slice(index + piece.length);
    return index >= 0;
  });
}
