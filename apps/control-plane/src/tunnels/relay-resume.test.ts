import { scaled } from '@drawbridge/testkit';
import * as fc from 'fast-check';
import { it } from 'vitest';
import { perform, stepsOfAnyEnds, stepsOfLivingEnds } from './relay-steps-fixture.ts';
import type { Step } from './relay-steps-fixture.ts';
import { World } from './relay-world-fixture.ts';

const epochDelayMs = fc.constantFrom(undefined, 0, 1, 30);

function story(steps: fc.Arbitrary<Step[]>) {
  return fc.asyncProperty(steps, epochDelayMs, async (chapters, delayMs) => {
    await using world = new World(delayMs === undefined ? {} : { epochDelayMs: delayMs });
    for (const next of chapters) {
      await perform(world, next);
      await world.turns(next.turns);
      world.check();
    }
    await world.comeToRest();
  });
}

const runs = (full: number) => ({
  numRuns: scaled(full, 10),
  interruptAfterTimeLimit: 60_000,
  endOnFailure: true,
});

it('brings everything once and in order, or says why not, whatever happens to the legs and the relay', async () => {
  await fc.assert(story(stepsOfLivingEnds), runs(150));
}, 300_000);

it('ends channels with 8 when the process of an end was lost, and goes on with new ones', async () => {
  await fc.assert(story(stepsOfAnyEnds), runs(100));
}, 300_000);
