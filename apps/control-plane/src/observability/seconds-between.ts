/** Seconds from one of the store's times to a later one; clocks that disagree make it no less than 0. */
export function secondsBetween(from: string, to: string): number {
  return Math.max(0, Date.parse(to) - Date.parse(from)) / 1000;
}
