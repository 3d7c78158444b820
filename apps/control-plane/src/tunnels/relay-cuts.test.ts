import { createHash } from 'node:crypto';
import type { Channel } from '@drawbridge/link';
import { CloseReason } from '@drawbridge/protocol';
import type { ClosePayload } from '@drawbridge/protocol';
import { expect, it } from 'vitest';
import { RelayedFixture } from './relayed-fixture.ts';
import type { Side } from './relay.ts';

/** What one reader has heard, bytes of one stream put together, and how the channel ended for it. */
interface Heard {
  readonly items: string[];
  readonly end: ClosePayload;
}

const SIDES = ['operator', 'agent'] as const;
const WAYS = ['aToB', 'bToA'] as const;
const TURNS_MAX = 5_000;

/** Bytes that tell where they belong. */
const PATTERN = Uint8Array.from({ length: 150_000 }, (_, index) => (index * 7 + (index >> 8)) % 251);
const bytes = (length: number) => PATTERN.subarray(0, length);

async function listen(channel: Channel, until?: 'fin'): Promise<string[]> {
  const items: string[] = [];
  let stream = '';
  let run = createHash('sha1');
  let length = 0;
  const flush = () => {
    if (length > 0) items.push(`${stream} ${length} ${run.digest('hex')}`);
    run = createHash('sha1');
    length = 0;
  };
  for await (const item of channel) {
    if (item.kind === 'data') {
      const next = item.stderr ? 'stderr' : 'data';
      if (next !== stream) flush();
      stream = next;
      run.update(item.bytes);
      length += item.bytes.byteLength;
    } else {
      flush();
      items.push(item.kind === 'control' ? `control ${JSON.stringify(item.value)}` : 'fin');
      if (item.kind === until) break;
    }
  }
  flush();
  return items;
}

/** Open, send both ways, half-close, control, close: every kind of counted frame but WINDOW_UPDATE of a slow reader. */
async function talk(relayed: RelayedFixture): Promise<{ near: Heard; far: Heard }> {
  const { near, far } = await relayed.open();
  const [nearHeard, farHeard] = [listen(near), listen(far, 'fin')];
  await near.send(bytes(10));
  await near.control({ cols: 80 });
  await near.send(PATTERN);
  await far.send(bytes(70_000));
  await far.send(bytes(20), { stderr: true });
  near.end();
  const heardByFar = await farHeard;
  await far.control({ last: true });
  far.end();
  far.close({ code: CloseReason.Ok, reason: 'done', exit_code: 3 });
  return {
    near: { items: await nearHeard, end: await near.ended },
    far: { items: heardByFar, end: await far.ended },
  };
}

/** What is heard when it is run turn by turn: `disturb` sees every turn, and who has lost a leg gets another. */
async function outcome(disturb: (relayed: RelayedFixture) => void): Promise<unknown> {
  await using relayed = new RelayedFixture();
  for (const side of SIDES) relayed.dial(side);
  const progress = { isOver: false };
  const talking = talk(relayed).finally(() => (progress.isOver = true));
  for (let turn = 0; !progress.isOver; turn += 1) {
    if (turn > TURNS_MAX) throw new Error('the talk does not end');
    disturb(relayed);
    await Promise.resolve();
    for (const side of SIDES) if (!relayed.isConnected(side)) relayed.dial(side);
  }
  const heard = await talking;
  expect(relayed.ended).toEqual([]);
  expect(relayed.opened.length).toBeGreaterThan(0);
  expect([relayed.operator.channels, relayed.agent.channels, relayed.accepted.size]).toEqual([0, 0, 1]);
  return heard;
}

/** How many messages pass on each wire when nothing happens, and what is heard then. */
async function undisturbed() {
  const delivered: Record<string, number> = {};
  const heard = await outcome((relayed) => {
    for (const side of SIDES)
      for (const way of WAYS) delivered[`${side} ${way}`] = relayed.pair(side)?.[way].delivered ?? 0;
  });
  return { heard, delivered };
}

const FAULTS: Record<string, (relayed: RelayedFixture, side: Side) => void> = {
  'its leg is cut': (relayed, side) => relayed.cut(side),
  'both legs are cut': (relayed) => SIDES.forEach((side) => relayed.cut(side)),
  'the other leg is cut': (relayed, side) => relayed.cut(side === 'agent' ? 'operator' : 'agent'),
  'its leg is superseded': (relayed, side) => void relayed.dial(side),
  'the relay is restarted': (relayed) => relayed.restartRelay(),
};

const places = Object.keys(FAULTS).flatMap((fault) =>
  SIDES.flatMap((side) => WAYS.map((way) => [fault, side, way] as const)),
);

let expected: ReturnType<typeof undisturbed> | undefined;

it.each(places)('comes to the same end when %s after each single message (%s, %s)', async (fault, side, way) => {
  const { heard, delivered } = await (expected ??= undisturbed());
  const last = delivered[`${side} ${way}`] ?? 0;
  expect(last).toBeGreaterThan(8);
  for (let after = 0; after <= last; after += 1) {
    let isDone = false;
    const disturbed = await outcome((relayed) => {
      if (isDone || (relayed.pair(side)?.[way].delivered ?? 0) < after) return;
      isDone = true;
      FAULTS[fault]?.(relayed, side);
    });
    expect({ after, heard: disturbed }).toEqual({ after, heard });
    expect({ after, isDone }).toEqual({ after, isDone: true });
  }
});
