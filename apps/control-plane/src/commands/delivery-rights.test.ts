import { afterEach, beforeEach, expect, it } from 'vitest';
import type { AuditEntry } from '../audit/audit-entry.ts';
import { ADMIN } from '../control-plane-fixture.ts';
import { PeopleFixture } from '../operators/people-fixture.ts';
import { DeliveryRights } from './delivery-rights.ts';
import type { Actor } from '../operators/actor.ts';

let people: PeopleFixture;
let rights: DeliveryRights;
let recorded: AuditEntry[];
let agentId: string;
beforeEach(async () => {
  people = await PeopleFixture.make();
  recorded = [];
  const { db, log } = people.control.parts;
  const audit = { record: async (entry: AuditEntry) => void recorded.push(entry) };
  rights = new DeliveryRights({ db, principals: people.principals, audit, clock: people.control.clock, log });
  agentId = await people.control.addAgent('build-1');
});
afterEach(() => people[Symbol.asyncDispose]());

async function queuedBy(actor: Actor) {
  const { commands } = people.control.parts;
  return commands.create(
    {
      agentId,
      operation: 'agent.ping',
      params: {},
      timeoutSeconds: 60,
      queueIfOffline: true,
      ttlSeconds: 3_600,
      hasDeadline: true,
    },
    actor,
  );
}

it('lets out what its maker may still have', async () => {
  const { actor } = await people.person('ann', 'operator');
  const row = await queuedBy(actor);
  await people.control.clock.advance(3_600_000);
  expect(await rights.refusal(row)).toBeUndefined();
});

it('keeps back what its maker may not have any more, and records that', async () => {
  const { actor, user } = await people.person('ann', 'operator');
  const row = await queuedBy(actor);
  await people.control.clock.advance(60_000);
  await people.users.update(user.id, { roles: [{ role: 'viewer', selector: '' }] }, ADMIN);
  expect(await rights.refusal(row)).toMatchObject({ code: 'forbidden' });
  expect(recorded).toMatchObject([
    { actor: `user:${user.id}`, verb: 'agent.command', agentId, result: 'denied', details: { command_id: row.id } },
  ]);
});

it('keeps back what somebody who is gone has asked for', async () => {
  const { actor, user } = await people.person('ann', 'operator');
  const row = await queuedBy(actor);
  await people.control.clock.advance(60_000);
  await people.users.delete(user.id, ADMIN);
  expect(await rights.refusal(row)).toMatchObject({ code: 'forbidden' });
});

it('asks nothing twice within a second: what is that young was authorised just now', async () => {
  const { actor, user } = await people.person('ann', 'operator');
  const row = await queuedBy(actor);
  await people.users.delete(user.id, ADMIN);
  await people.control.clock.advance(999);
  expect(await rights.refusal(row)).toBeUndefined();
  await people.control.clock.advance(1);
  expect(await rights.refusal(row)).toMatchObject({ code: 'forbidden' });
});
