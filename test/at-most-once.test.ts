import { scaled } from '@drawbridge/testkit';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { World } from './at-most-once-world.ts';
import type { Kind } from './at-most-once-world.ts';

/** What needs nothing to be said about it. Steps that make no sense just then do nothing. */
type Plain =
  | 'cut'
  | 'finish'
  | 'killAgent'
  | 'startAgent'
  | 'restartControlPlane'
  | 'loseJournal'
  | 'copyJournal'
  | 'restoreOldJournal';

/** One thing that happens, and how much the rest of the world does before the next. */
type Step = { readonly turns: number } & (
  | { readonly name: 'create'; readonly kind: Kind }
  | { readonly name: 'connect'; readonly cutAfter: number | undefined }
  | { readonly name: 'cancel'; readonly which: number }
  | { readonly name: 'pass'; readonly seconds: number }
  | { readonly name: Plain }
);

const turns = fc.oneof(fc.constant(0), fc.nat(4), fc.nat(60));

function step<T extends object>(weight: number, parts: { [Key in keyof T]: fc.Arbitrary<T[Key]> }) {
  return { weight, arbitrary: fc.record({ ...parts, turns }) };
}

function plain(weight: number, name: Plain) {
  return step(weight, { name: fc.constant(name) });
}

const steps: fc.Arbitrary<Step> = fc.oneof(
  step(6, { name: fc.constant('create'), kind: fc.constantFrom<Kind>('once', 'once', 'read', 'idempotent') }),
  step(6, { name: fc.constant('connect'), cutAfter: fc.option(fc.nat(8), { nil: undefined }) }),
  step(2, { name: fc.constant('cancel'), which: fc.nat(9) }),
  step(1, { name: fc.constant('pass'), seconds: fc.nat(40) }),
  plain(2, 'cut'),
  plain(5, 'finish'),
  plain(2, 'killAgent'),
  plain(3, 'startAgent'),
  plain(1, 'restartControlPlane'),
  plain(1, 'loseJournal'),
  plain(1, 'copyJournal'),
  plain(1, 'restoreOldJournal'),
);

function perform(world: World, next: Step): Promise<void> {
  switch (next.name) {
    case 'create':
      return world.create(next.kind);
    case 'connect':
      return world.connect(next.cutAfter);
    case 'cancel':
      return world.cancel(next.which);
    case 'pass':
      return world.pass(next.seconds);
    default:
      return world[next.name]();
  }
}

it('runs each command at most once in effect, and brings each to its end, whatever breaks in whatever order', async () => {
  const story = fc.asyncProperty(fc.array(steps, { minLength: 5, maxLength: 45 }), async (all) => {
    await using world = await World.make();
    for (const next of all) {
      await perform(world, next);
      await world.turns(next.turns);
      world.expectAtMostOnce();
    }
    await world.bringToAnEnd();
    world.expectAtMostOnce();
    await world.expectTrueOutcomes();
    const effects = world.effects();
    await world.reconnectOnceMore();
    expect(world.effects()).toEqual(effects);
  });
  await fc.assert(story, { numRuns: scaled(60, 6), interruptAfterTimeLimit: 90_000, endOnFailure: true });
}, 120_000);
