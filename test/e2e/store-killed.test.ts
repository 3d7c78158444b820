import { systemClock } from '@drawbridge/link';
import {
  requires,
  scaled,
  type SeededRandom,
  TestAgent,
  TestControlPlane,
  TestPostgres,
  withSeed,
} from '@drawbridge/testkit';
import { describe, expect, it } from 'vitest';
import { NO_LIMITS, StoreLoad } from './store-load.ts';
import { BRISK } from './task-story.ts';

const KILLS = scaled(50, 3);
/** A kill comes this long, at most, after the last one was got over. */
const MOMENT_MS_MAX = 400;
const TIMEOUT_MS = 120_000 + KILLS * 15_000;

/** What is killed, and how it comes back. */
interface Victim {
  kill(): Promise<void>;
  comeBack(): Promise<void>;
}

/** Kills the victim again and again under load; afterwards everything that was promised must be there and have its end. */
async function story(random: SeededRandom, plane: TestControlPlane, victim: Victim): Promise<void> {
  await using agent = await TestAgent.start({ controlPlane: plane, config: BRISK });
  await using load = StoreLoad.start(plane, agent);
  for (let kill = 1; kill <= KILLS; kill += 1) {
    await systemClock.sleep(random.integer(0, MOMENT_MS_MAX));
    await victim.kill();
    await victim.comeBack();
    await load.goesOn(`work to go on after kill ${kill}`);
  }
  await load.stop();
  expect(load.acknowledged).toBeGreaterThan(KILLS);
  await load.expectNothingLost();
}

describe.each(['sqlite', 'postgres'] as const)('on %s', (engine) => {
  it.runIf(engine === 'sqlite' || requires('initdb'))(
    'loses nothing it acknowledged when the control plane is killed',
    () =>
      withSeed(async (random) => {
        await using postgres = engine === 'postgres' ? await TestPostgres.start() : undefined;
        const env = { ...NO_LIMITS, ...(postgres === undefined ? {} : { DRAWBRIDGE_STORE_URL: postgres.url }) };
        await using plane = await TestControlPlane.start({ env });
        await story(random, plane, { kill: () => plane.kill9(), comeBack: () => plane.restart() });
      }),
    TIMEOUT_MS,
  );
});

describe.runIf(requires('initdb'))('on a PostgreSQL that is killed', () => {
  it(
    'loses nothing it acknowledged, and goes on without a restart',
    () =>
      withSeed(async (random) => {
        await using postgres = await TestPostgres.start();
        await using plane = await TestControlPlane.start({ env: { ...NO_LIMITS, DRAWBRIDGE_STORE_URL: postgres.url } });
        const { pid } = plane;
        await story(random, plane, { kill: () => postgres.kill9(), comeBack: () => postgres.launch() });
        expect(plane.pid).toBe(pid);
      }),
    TIMEOUT_MS,
  );
});
