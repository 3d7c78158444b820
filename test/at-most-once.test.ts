import { scaled } from '@drawbridge/testkit';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { World } from './at-most-once-world.ts';
import type { Cut, Kind } from './at-most-once-world.ts';

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
  | { readonly name: 'connect'; readonly cut: Cut | undefined }
  | { readonly name: 'cancel'; readonly which: number }
  | { readonly name: 'pass'; readonly seconds: number }
  | { readonly name: Plain }
);

const turns = fc.oneof(fc.constant(0), fc.nat(10), fc.integer({ min: 30, max: 90 }));

const cut: fc.Arbitrary<Cut | undefined> = fc.option(
  fc.record({ direction: fc.constantFrom('aToB', 'aToB', 'bToA'), after: fc.nat(5) }),
  { nil: undefined, freq: 3 },
);

function step<T>(weight: number, what: fc.Arbitrary<T>) {
  const arbitrary = fc.tuple(what, turns).map(([happens, count]) => [{ ...happens, turns: count }]);
  return { weight, arbitrary };
}

function plain(weight: number, name: Plain) {
  return step(weight, fc.record({ name: fc.constant(name) }));
}

const kind = fc.constantFrom<Kind>('once', 'once', 'read', 'idempotent');

/** The worst moment, on purpose: a command arrives, its `started` may not; then something dies, and all begins again. */
const lostAck: fc.Arbitrary<Step[]> = fc
  .record({
    kind,
    after: fc.integer({ min: 0, max: 3 }),
    fault: fc.constantFrom<Plain>('cut', 'killAgent', 'loseJournal', 'restartControlPlane'),
    isCancelled: fc.boolean(),
  })
  .map(({ kind, after, fault, isCancelled }) => [
    { name: 'cut', turns: 5 },
    { name: 'create', kind, turns: 0 },
    { name: 'connect', cut: { direction: 'aToB', after }, turns: 60 },
    { name: fault, turns: 20 },
    ...(isCancelled ? [{ name: 'cancel', which: -1, turns: 0 } as const] : []),
    { name: 'startAgent', turns: 0 },
    { name: 'connect', cut: undefined, turns: 60 },
  ]);

const steps: fc.Arbitrary<Step[]> = fc.oneof(
  { weight: 6, arbitrary: lostAck },
  step(6, fc.record({ name: fc.constant('create'), kind })),
  step(8, fc.record({ name: fc.constant('connect'), cut })),
  step(3, fc.record({ name: fc.constant('cancel'), which: fc.nat(9) })),
  step(1, fc.record({ name: fc.constant('pass'), seconds: fc.nat(40) })),
  plain(2, 'cut'),
  plain(3, 'finish'),
  plain(3, 'killAgent'),
  plain(3, 'startAgent'),
  plain(1, 'restartControlPlane'),
  plain(2, 'loseJournal'),
  plain(1, 'copyJournal'),
  plain(1, 'restoreOldJournal'),
);

function perform(world: World, next: Step): Promise<void> {
  switch (next.name) {
    case 'create':
      return world.create(next.kind);
    case 'connect':
      return world.connect(next.cut);
    case 'cancel':
      return world.cancel(next.which);
    case 'pass':
      return world.pass(next.seconds);
    default:
      return world[next.name]();
  }
}

it('runs each command at most once in effect, and brings each to its end, whatever breaks in whatever order', async () => {
  const story = fc.asyncProperty(fc.array(steps, { minLength: 3, maxLength: 30 }), async (chapters) => {
    await using world = await World.make();
    for (const next of chapters.flat()) {
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
  await fc.assert(story, { numRuns: scaled(40, 6), interruptAfterTimeLimit: 90_000, endOnFailure: true });
}, 120_000);
