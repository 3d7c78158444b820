import { settle } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { RelayedFixture } from './relayed-fixture.ts';

const EPOCH_DELAY_MS = 50;

async function met(): Promise<RelayedFixture> {
  const relayed = RelayedFixture.connected({ epochDelayMs: EPOCH_DELAY_MS });
  await relayed.clock.advance(EPOCH_DELAY_MS);
  return relayed;
}

it('passes on no answer to a RESUME whose legs are gone, while the next one is being made', async () => {
  await using relayed = await met();
  const { near, far } = await relayed.open();
  // The relay and the operator agree on this leg, but the agent never learns of it.
  relayed.dial('agent', {}, 1_000);
  relayed.pair('operator')?.bToA.stall();
  await relayed.clock.advance(EPOCH_DELAY_MS);
  relayed.dial('agent');
  relayed.pair('operator')?.bToA.release();
  await settle();
  await relayed.clock.advance(EPOCH_DELAY_MS);
  expect(relayed.ended).toEqual([]);
  await near.send(Uint8Array.of(1));
  expect(await far.read()).toMatchObject({ bytes: Uint8Array.of(1) });
});

it('passes on nothing of an end that has agreed with a leg that is gone', async () => {
  await using relayed = await met();
  const { near, far } = await relayed.open();
  relayed.dial('agent');
  relayed.pair('agent')?.bToA.stall();
  await relayed.clock.advance(EPOCH_DELAY_MS);
  relayed.cut('operator');
  await settle();
  relayed.pair('agent')?.bToA.release();
  await settle();
  relayed.dial('operator');
  await far.send(Uint8Array.of(1));
  await settle();
  await relayed.clock.advance(EPOCH_DELAY_MS);
  expect(relayed.ended).toEqual([]);
  expect(await near.read()).toMatchObject({ bytes: Uint8Array.of(1) });
});
