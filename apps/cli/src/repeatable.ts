import { Verb } from '@drawbridge/protocol/api';
import { UsageError } from './exit-codes.ts';

/** For an option that may be given again: all its values. */
export function collect(value: string, all: readonly string[] = []): readonly string[] {
  return [...all, value];
}

/** For `--verb`, which may be given again. Throws UsageError for what is no verb, before anybody is asked. */
export function collectVerbs(value: string, all: readonly Verb[] = []): readonly Verb[] {
  const { success, data: verb } = Verb.safeParse(value);
  if (success) return [...all, verb];
  throw new UsageError(`--verb ${value}: no such verb ("drawbridge roles show admin" shows all of them)`);
}
