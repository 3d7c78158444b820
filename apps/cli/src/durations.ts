import { UsageError } from './exit-codes.ts';

const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** `90`, `90s`, `30m`, `2h`, `1d` in seconds. Throws UsageError for anything else. */
export function parseDuration(text: string): number {
  const match = /^(\d{1,9})([smhd]?)$/.exec(text);
  if (match === null) throw new UsageError(`${text} is no duration: write 90s, 30m, 2h or 1d`);
  const unit = match[2] === 'm' || match[2] === 'h' || match[2] === 'd' ? match[2] : 's';
  return Number(match[1]) * SECONDS[unit];
}
