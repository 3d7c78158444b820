/** Attempts to sign in or to enrol, of one address: at the bound 429, with Retry-After. */
export function attemptsOf(perMinute: number) {
  return { max: perMinute, timeWindow: 60_000 } as const;
}
