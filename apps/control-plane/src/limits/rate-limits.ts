import type { Clock } from '@drawbridge/link';
import { TokenBuckets } from './token-buckets.ts';

const MINUTE_SECONDS = 60;
/** Tries of a password (security.md): a guesser gets nowhere, a person who mistypes does. */
const PASSWORDS_OF_ACCOUNT_PER_MINUTE = 5;
const PASSWORDS_OF_ADDRESS_PER_MINUTE = 20;

/** Agents turned away that are recorded: whoever names a new one each time must not fill the audit log. */
const REFUSALS_OF_ADDRESS_PER_MINUTE = 30;

export interface RateLimitsConfig {
  readonly auth_attempts_per_minute: number;
  readonly requests_per_minute: number;
  readonly commands_per_second: number;
  readonly commands_burst: number;
}

/** Every rate that is bounded across connections, by what it is counted. One mechanism, for HTTP and WebSockets alike. */
export interface RateLimits {
  /** By agent: commands, tasks among them (S2-056). */
  readonly commands: TokenBuckets;
  /** By actor: requests of an account or a token. */
  readonly requests: TokenBuckets;
  /** By `addressKey`: attempts to sign in and to enrol, and refused attempts to connect. */
  readonly attempts: TokenBuckets;
  /** By account: passwords tried. */
  readonly passwordsOfAccount: TokenBuckets;
  /** By `addressKey`: passwords tried. */
  readonly passwordsOfAddress: TokenBuckets;
  /** By `addressKey`: agents turned away, as far as each is recorded. */
  readonly refusals: TokenBuckets;
}

/** All of them, empty. */
export function rateLimits(config: RateLimitsConfig, clock: Clock): RateLimits {
  const { commands_per_second: perSecond, commands_burst: burst } = config;
  const perMinute = (count: number, refusal: (key: string) => string) =>
    new TokenBuckets({ rate: { perSecond: count / MINUTE_SECONDS, burst: count }, clock, refusal });
  return {
    commands: new TokenBuckets({
      rate: { perSecond, burst },
      clock,
      refusal: (agentId) => `agent ${agentId} gets at most ${perSecond} commands a second`,
    }),
    requests: perMinute(
      config.requests_per_minute,
      () => `at most ${config.requests_per_minute} requests a minute (limits.requests_per_minute)`,
    ),
    attempts: perMinute(
      config.auth_attempts_per_minute,
      (address) =>
        `${address}: at most ${config.auth_attempts_per_minute} attempts to sign in, enrol or connect a minute ` +
        '(limits.auth_attempts_per_minute)',
    ),
    passwordsOfAccount: perMinute(
      PASSWORDS_OF_ACCOUNT_PER_MINUTE,
      () => `at most ${PASSWORDS_OF_ACCOUNT_PER_MINUTE} passwords a minute are tried for one account`,
    ),
    passwordsOfAddress: perMinute(
      PASSWORDS_OF_ADDRESS_PER_MINUTE,
      (address) => `${address}: at most ${PASSWORDS_OF_ADDRESS_PER_MINUTE} passwords a minute are tried`,
    ),
    refusals: perMinute(
      REFUSALS_OF_ADDRESS_PER_MINUTE,
      (address) => `${address}: at most ${REFUSALS_OF_ADDRESS_PER_MINUTE} refused agents a minute are recorded`,
    ),
  };
}
