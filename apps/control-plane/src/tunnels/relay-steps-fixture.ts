import * as fc from 'fast-check';
import type { Side } from './relay.ts';
import type { OpenKind, World } from './relay-world-fixture.ts';

/** For tests: how a new leg behaves. */
interface Wire {
  readonly latencyMs?: number;
  readonly cut?: { readonly way: 'aToB' | 'bToA'; readonly after: number } | undefined;
}

/** For tests: one thing that happens, and how much the rest of the world does before the next. */
export type Step = { readonly turns: number } & (
  | { readonly do: 'open'; readonly kind: OpenKind }
  | { readonly do: 'answer'; readonly isTaken: boolean }
  | { readonly do: 'giveUp' }
  | {
      readonly do: 'send';
      readonly which: number;
      readonly side: Side;
      readonly bytes: number;
      readonly stderr: boolean;
    }
  | { readonly do: 'control' | 'end'; readonly which: number; readonly side: Side }
  | { readonly do: 'close'; readonly which: number; readonly side: Side; readonly code: number }
  | { readonly do: 'read'; readonly which: number; readonly side: Side; readonly items: number }
  | { readonly do: 'dial'; readonly side: Side; readonly wire: Wire; readonly lagMs: number }
  | { readonly do: 'cut' | 'restartEnd'; readonly side: Side }
  | { readonly do: 'stall' | 'release'; readonly side: Side; readonly way: 'aToB' | 'bToA' }
  | { readonly do: 'restartRelay' }
  | { readonly do: 'pass'; readonly ms: number }
);

const turns = fc.oneof(fc.constant(0), fc.nat(6), fc.integer({ min: 10, max: 60 }));
const side = fc.constantFrom<Side>('operator', 'agent');
const way = fc.constantFrom('aToB' as const, 'bToA' as const);
const which = fc.nat(5);
const bytes = fc.oneof(fc.constantFrom(0, 1, 65_536, 65_537, 262_144), fc.nat(100), fc.nat(300_000));

const wire: fc.Arbitrary<Wire> = fc.record(
  {
    latencyMs: fc.constantFrom(0, 0, 1, 20, 150),
    cut: fc.option(fc.record({ way, after: fc.nat(12) }), { nil: undefined }),
  },
  { requiredKeys: [] },
);

function step<T>(weight: number, what: fc.Arbitrary<T>) {
  return { weight, arbitrary: fc.tuple(what, turns).map(([happens, count]) => ({ ...happens, turns: count })) };
}

function on<D extends string>(name: D) {
  return { do: fc.constant(name), which, side };
}

const dial = fc.record({ do: fc.constant('dial' as const), side, wire, lagMs: fc.constantFrom(0, 0, 0, 1, 30) });

const KINDS = ['taken', 'taken', 'taken', 'taken', 'kept', 'refused by the relay', 'refused by the far end'] as const;

const said = [
  step(5, fc.record({ do: fc.constant('open' as const), kind: fc.constantFrom(...KINDS) })),
  step(1, fc.record({ do: fc.constant('answer' as const), isTaken: fc.boolean() })),
  step(1, fc.record({ do: fc.constant('giveUp' as const) })),
  step(10, fc.record({ ...on('send'), bytes, stderr: fc.boolean() })),
  step(4, fc.record(on('control'))),
  step(2, fc.record(on('end'))),
  step(2, fc.record({ ...on('close'), code: fc.constantFrom(0, 0, 9, 12) })),
  step(5, fc.record({ ...on('read'), items: fc.constantFrom(1, 3, 10_000) })),
];

const happens = [
  step(10, dial),
  step(3, fc.record({ do: fc.constant('cut' as const), side })),
  step(2, fc.record({ do: fc.constantFrom('stall' as const, 'release' as const), side, way })),
  step(2, fc.record({ do: fc.constant('restartRelay' as const) })),
  step(5, fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(1, 20, 100, 150, 500, 5_000, 50_000) })),
];

const floodBytes = fc.oneof(bytes, fc.constantFrom(70_000, 262_144, 300_000));

/** Both legs are new and whole, and both ends have had the time to agree. */
const mended: Step[] = [
  { do: 'dial', side: 'operator', wire: {}, lagMs: 0, turns: 0 },
  { do: 'dial', side: 'agent', wire: {}, lagMs: 0, turns: 0 },
  { do: 'pass', ms: 50, turns: 0 },
];

/** The worst moment, on purpose: a leg is stuck or about to break while much is on its way. */
const flood: fc.Arbitrary<Step[]> = fc
  .record({ from: side, stuck: side, isStalled: fc.boolean(), after: fc.nat(20), bytes: floodBytes, between: turns })
  .map(({ from, stuck, isStalled, after, bytes: length, between }) => {
    const way = from === stuck ? 'bToA' : 'aToB';
    const fault: Step = isStalled
      ? { do: 'stall', side: stuck, way, turns: 0 }
      : { do: 'dial', side: stuck, wire: { cut: { way, after } }, lagMs: 0, turns: 30 };
    const sends = [0, 1, 2, 3, 4].map((index): Step => ({
      do: 'send',
      which: index,
      side: from,
      bytes: length,
      stderr: index % 2 === 0,
      turns: between,
    }));
    return [...mended, fault, ...sends];
  });

/** Channels to begin with, and what happens then. */
function stories(...alsoHappens: { weight: number; arbitrary: fc.Arbitrary<Step> }[]): fc.Arbitrary<Step[]> {
  const one = fc.oneof(...said, ...happens, ...alsoHappens).map((next) => [next]);
  const chapters = fc.array(
    fc.oneof(
      { weight: 14, arbitrary: one },
      { weight: 1, arbitrary: flood },
      { weight: 1, arbitrary: fc.constant(mended) },
    ),
    {
      minLength: 5,
      maxLength: 60,
      size: 'max',
    },
  );
  const opens = fc
    .nat(4)
    .map((count) => Array.from({ length: count }, (): Step => ({ do: 'open', kind: 'taken', turns: 30 })));
  return fc.tuple(opens, chapters).map(([first, rest]) => [...first, ...rest.flat()]);
}

/** For tests: whatever may happen to a tunnel whose ends live. */
export const stepsOfLivingEnds = stories();

/** For tests: and the processes of its ends may be lost. */
export const stepsOfAnyEnds = stories(step(3, fc.record({ do: fc.constant('restartEnd' as const), side })));

/** For tests: makes it happen. What makes no sense just then does nothing. */
export async function perform(world: World, next: Step): Promise<void> {
  switch (next.do) {
    case 'open':
      return world.open(next.kind);
    case 'answer':
      return world.answer(next.isTaken);
    case 'giveUp':
      return world.giveUp(-1);
    case 'send':
      return world.end(next.which, next.side)?.send(next.bytes, next.stderr);
    case 'control':
      return world.end(next.which, next.side)?.control();
    case 'end':
      return world.end(next.which, next.side)?.end();
    case 'close':
      return world.end(next.which, next.side)?.close(next.code);
    case 'read':
      return world.end(next.which, next.side)?.read(next.items);
    case 'dial': {
      const { latencyMs = 0, cut } = next.wire;
      const wire = { ...(latencyMs > 0 && { latencyMs }), ...(cut && { [cut.way]: { cutAfter: cut.after } }) };
      return world.dial(next.side, wire, next.lagMs);
    }
    case 'cut':
      return world.relayed.cut(next.side);
    case 'restartEnd':
      return world.restartEnd(next.side);
    case 'stall':
      return world.stall(next.side, next.way);
    case 'release':
      return world.release(next.side, next.way);
    case 'restartRelay':
      return world.relayed.restartRelay();
    case 'pass':
      return world.relayed.clock.advance(next.ms);
  }
}
