import { systemClock } from '@drawbridge/link';
import { expect, it } from 'vitest';
import { ControlPlaneFixture } from '../control-plane-fixture.ts';
import { commandBacklog } from './command-backlog.ts';
import { seriesOf } from './observability-fixture.ts';

it('tells how many commands wait, by state, and leaves that out when the store is gone', async () => {
  await using control = await ControlPlaneFixture.make();
  const { metrics, db, store } = control.parts;
  commandBacklog(metrics, db, systemClock);
  const agentId = await control.addAgent();
  for (let count = 0; count < 3; count += 1) await control.create(agentId);
  const waiting = async (state: string) =>
    (await seriesOf(metrics.registry)).get(`drawbridge_commands_unfinished{state="${state}"}`);
  expect([await waiting('queued'), await waiting('running')]).toEqual([3, 0]);
  await control.delivered(await control.connect(agentId), 3);
  expect([await waiting('queued'), await waiting('delivered')]).toEqual([0, 3]);
  await store.close();
  expect(await waiting('queued')).toBeUndefined();
});
