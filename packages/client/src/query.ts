/** `?key=value&…` of what is there. */
export function queryOf(values: Readonly<Record<string, string | number | null | undefined>>): string {
  const pairs = Object.entries(values).filter(([, value]) => value !== undefined && value !== null);
  return `?${pairs.map(([key, value]) => `${key}=${encodeURIComponent(String(value))}`).join('&')}`;
}
