/** What has a canonical form: JSON's own kinds, without what JSON cannot say. */
export type Canonical = null | boolean | number | string | readonly Canonical[] | { readonly [key: string]: Canonical };

/**
 * The one text of a JSON value, as RFC 8785 has it: no white space; the keys of an object sorted by their UTF-16 code units; strings
 * escaped as `JSON.stringify` does (only `"`, `\` and U+0000 to U+001F, short escapes where JSON has them); numbers as ECMAScript
 * prints them. Throws for a number that is not finite and for text with half a surrogate pair: neither has a form.
 */
export function canonicalJson(value: Canonical): string {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new TypeError(`${value} has no canonical form`);
  if (typeof value === 'string' && !value.isWellFormed()) throw new TypeError('text with half a surrogate pair');
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (isList(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const members = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return `{${members.map(([key, member]) => `${canonicalJson(key)}:${canonicalJson(member)}`).join(',')}}`;
}

/** `Array.isArray` does not narrow a readonly array. */
function isList(value: Canonical): value is readonly Canonical[] {
  return Array.isArray(value);
}
