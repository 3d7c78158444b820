import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { requires } from './packages/testkit/src/requirement.ts';

/** Far above what anything here takes, since a machine that is busy elsewhere is no reason to fail. */
const TIMEOUTS = { testTimeout: 60_000, hookTimeout: 60_000 };

/** What rests on the store runs on PostgreSQL a second time. */
const postgres = {
  test: {
    name: 'postgres',
    include: [
      'apps/control-plane/src/{agents,audit,bulk,commands,groups,health,operators,tasks,tunnels,ws}/**/*.test.ts',
      'apps/control-plane/src/store/*-repository.test.ts',
      'apps/control-plane/src/store/repositories.test.ts',
      'test/at-most-once.test.ts',
    ],
    // What these are about has nothing to do with the store; listeners, twice at the same time, would take each other's ports.
    exclude: [
      'apps/control-plane/src/tunnels/{relay*,leg-tokens,tunnel-leg,tunnel-tokens}.test.ts',
      'apps/control-plane/src/ws/leased-listeners.test.ts',
    ],
    env: { DRAWBRIDGE_TEST_STORE: 'postgres' },
    ...TIMEOUTS,
  },
};

/**
 * `unit` is quick and part of `npm run check`; `postgres` repeats some of it on the other engine, and `e2e` starts real
 * processes: they are part of `npm test` only.
 */
export default defineConfig({
  test: {
    // A small machine has two cores, and vitest would leave one of them idle.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    projects: [
      {
        test: {
          name: 'unit',
          include: ['packages/**/*.test.ts', 'apps/**/*.test.ts', 'test/*.test.ts'],
          ...TIMEOUTS,
        },
      },
      ...(requires('postgres') ? [postgres] : []),
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          ...TIMEOUTS,
          testTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
