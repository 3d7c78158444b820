/** `in 29 d`, `in 3 h`; `expired`; `never` for nothing. */
export function expiryText(iso: string | null, nowMs: number): string {
  if (iso === null) return 'never';
  const seconds = Math.floor((Date.parse(iso) - nowMs) / 1000);
  if (seconds <= 0) return 'expired';
  if (seconds < 60) return `in ${seconds} s`;
  if (seconds < 3600) return `in ${Math.floor(seconds / 60)} min`;
  return seconds < 86_400 ? `in ${Math.floor(seconds / 3600)} h` : `in ${Math.floor(seconds / 86_400)} d`;
}
