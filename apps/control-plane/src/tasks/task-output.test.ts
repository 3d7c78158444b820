import { CloseReason } from '@drawbridge/protocol';
import { eventually, settle } from '@drawbridge/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ADMIN } from '../control-plane-fixture.ts';
import { actorWith } from '../operators/people-fixture.ts';
import { OutputFixture } from './output-fixture.ts';

const WHOLE = Uint8Array.from({ length: 1_000 }, (_byte, index) => index % 251);

let world: OutputFixture;
beforeEach(async () => {
  world = await OutputFixture.make(WHOLE);
});
afterEach(() => world[Symbol.asyncDispose]());

describe('following', () => {
  it('gives each byte once over tunnels that are lost, each time from the byte where it stopped', async () => {
    await world.connect();
    const task = await world.running();
    world.agent.breakAfter.push(100, 0, 350);
    const reader = world.follow(task);
    expect(await reader.whole()).toEqual(WHOLE);
    expect(world.agent.offsets()).toEqual([0, 100, 100, 450]);
    expect(world.agent.reads[0]?.metadata).toEqual({
      task_id: task.id,
      file: 'output',
      since: 0,
      follow: true,
      actor: 'token:admin',
    });
  });

  it('begins at the byte that is asked for', async () => {
    await world.connect();
    const reader = world.follow(await world.running(), { since: 990, file: 'result' });
    expect(await reader.whole()).toEqual(WHOLE.subarray(990));
    expect(world.agent.reads[0]?.metadata).toMatchObject({ since: 990, file: 'result' });
  });

  it('pauses before it asks again, rather than asking all the time', async () => {
    await world.connect();
    const task = await world.running();
    world.agent.breakAfter.push(100);
    const reader = world.follow(task);
    await eventually(() => world.control.clock.sleeps.includes(250), { what: 'the pause' });
    for (let turn = 0; turn < 50; turn += 1) await settle();
    expect(world.agent.reads).toHaveLength(1);
    expect(await reader.whole()).toEqual(WHOLE);
  });

  it('waits for an agent that is away, and goes on when it is back', async () => {
    await world.connect();
    const task = await world.running();
    world.agent.breakAfter.push(100);
    const reader = world.follow(task);
    await reader.has(100);
    await world.disconnect();
    await world.control.clock.advance(60_000);
    expect(world.agent.offsets()).toEqual([0]);
    await world.connect();
    expect(await reader.whole()).toEqual(WHOLE);
    expect(world.agent.offsets()).toEqual([0, 100]);
  });

  it('waits for a task that is still queued, though its agent is there and serves others', async () => {
    await world.connect();
    const task = await world.create();
    const reader = world.follow(task);
    const other = await world.running();
    await world.follow(other).whole();
    expect(world.agent.reads.map(({ metadata }) => metadata.task_id)).toEqual([other.id]);
    expect(reader.isOver()).toBe(false);
    await world.start(task);
    expect(await reader.whole()).toEqual(WHOLE);
  });

  it('ends with nothing when the task ends before it ever ran, and asks no agent', async () => {
    const task = await world.create();
    const reader = world.follow(task);
    await world.control.parts.commands.cancel(task.command_id);
    expect(await reader.whole()).toEqual(new Uint8Array());
    const after = world.follow(task);
    expect(await after.whole()).toEqual(new Uint8Array());
    expect(world.tunnels.size).toBe(0);
  });

  it('tries again while the agent has not made the task’s directory yet, and ends with a task that never had one', async () => {
    await world.connect();
    const task = await world.running();
    world.agent.refusals.push('task_not_found', 'task_not_found');
    expect(await world.follow(task).whole()).toEqual(WHOLE);
    world.agent.refusals.push('task_not_found');
    await world.end(task);
    expect(await world.follow(task).whole()).toEqual(new Uint8Array());
    expect(world.agent.reads).toHaveLength(4);
  });

  it.each(['forbidden', 'operation_not_allowed', 'invalid_request'])(
    'ends with %s when the agent refuses it so, and does not ask again',
    async (code) => {
      await world.connect();
      world.agent.refusals.push(code);
      const reader = world.follow(await world.running());
      await expect(reader.whole()).rejects.toMatchObject({ code });
      expect(world.agent.reads).toHaveLength(1);
    },
  );

  it('ends with agent_error when the agent cannot read its file any further', async () => {
    await world.connect();
    const task = await world.running();
    world.agent.endsWith = { code: CloseReason.TargetUnreachable, reason: 'EIO' };
    const reader = world.follow(task);
    await expect(reader.whole()).rejects.toMatchObject({
      code: 'agent_error',
      message: expect.stringContaining('EIO'),
    });
    expect(world.agent.reads).toHaveLength(1);
  });

  it.each([CloseReason.AgentShutdown, CloseReason.ServerShutdown, CloseReason.IdleTimeout])(
    'goes on after a channel that was ended with %i',
    async (code) => {
      await world.connect();
      const task = await world.running();
      world.agent.breakAfter.push(10);
      world.agent.breaksWith = { code, reason: 'stopping' };
      expect(await world.follow(task).whole()).toEqual(WHOLE);
      expect(world.agent.offsets()).toEqual([0, 10]);
    },
  );

  it.each(['connected', 'away'])(
    'ends with agent_not_found when the agent, %s, is revoked meanwhile',
    async (where) => {
      await world.connect();
      const task = await world.running();
      world.agent.holdAfter = 100;
      const reader = world.follow(task);
      await reader.has(100);
      if (where === 'away') await world.disconnect();
      await world.revoke();
      await expect(reader.whole()).rejects.toMatchObject({ code: 'agent_not_found' });
    },
  );

  it('of a task that has ended is refused at once while its agent is away, and when it was revoked', async () => {
    await world.connect();
    const task = await world.running();
    await world.end(task);
    await world.disconnect();
    await expect(world.open(task)).rejects.toMatchObject({ code: 'agent_offline' });
    await world.revoke();
    await expect(world.open(task)).rejects.toMatchObject({ code: 'agent_not_found' });
  });
});

describe('rights', () => {
  it.each(['runs', 'has ended'])('are lost with the next byte, while the task %s', async (state) => {
    await world.connect();
    const { actor, user, access } = await world.reader('viewer', 'env=dev');
    const task = await world.running();
    world.agent.holdAfter = 100;
    using watched = access.watch(actor, world.mayStillRead(task));
    const reader = world.follow(task, { actor, signal: watched.signal });
    await reader.has(100);
    if (state === 'has ended') await world.end(task);
    await user.becomes('viewer', 'env=prod');
    await expect(reader.whole()).rejects.toMatchObject({ code: 'task_not_found' });
    expect(reader.bytes()).toEqual(WHOLE.subarray(0, 100));
    await eventually(() => world.agent.reads[0]?.end, {
      what: 'the agent to hear of it',
      until: ({ code }) => code !== 0,
    });
    expect(world.tunnels.list()).toMatchObject([{ channels: 0 }]);
  });

  it('end what waits for a task that is still queued', async () => {
    const { actor, access, sessionEnds } = await world.reader('viewer', '');
    const task = await world.create();
    using watched = access.watch(actor, world.mayStillRead(task));
    const reader = world.follow(task, { actor, signal: watched.signal });
    await sessionEnds();
    await expect(reader.whole()).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it.each([true, false])(
    'are needed for the first byte, and no tunnel is opened without them: follow %s',
    async (follow) => {
      await world.connect();
      const task = await world.running();
      const actor = actorWith([['task.read'], 'env=prod']);
      await expect(world.follow(task, { actor, follow }).whole()).rejects.toMatchObject({ code: 'task_not_found' });
      expect(world.tunnels.size).toBe(0);
    },
  );
});

describe('without following', () => {
  it('gives what there is from the offset, and how much the file holds', async () => {
    await world.connect();
    const task = await world.running();
    const { sizeBytes, bytes } = await world.open(task, { since: 400, follow: false });
    expect(sizeBytes).toBe(WHOLE.byteLength);
    expect(Buffer.concat(await Array.fromAsync(bytes))).toEqual(Buffer.from(WHOLE.subarray(400)));
  });

  it.each(['queued', 'cancelled'])(
    'gives nothing of a task that is %s and never ran, and asks no agent',
    async (state) => {
      const task = await world.create();
      if (state === 'cancelled') await world.control.parts.commands.cancel(task.command_id);
      const { sizeBytes, bytes } = await world.open(task, { follow: false });
      expect([sizeBytes, await Array.fromAsync(bytes)]).toEqual([0, []]);
    },
  );

  it('is refused while the agent is away, and breaks off with what was lost', async () => {
    await world.connect();
    const task = await world.running();
    world.agent.breakAfter.push(100);
    const { bytes } = await world.open(task, { follow: false });
    await expect(Array.fromAsync(bytes)).rejects.toMatchObject({ code: 'tunnel_unavailable' });
    await world.disconnect();
    await expect(world.open(task, { follow: false })).rejects.toMatchObject({ code: 'agent_offline' });
  });

  it('rejects for a task that is not there', async () => {
    const request = { taskId: '019b0000-0000-7000-8000-000000000000', file: 'output', since: 0, follow: true } as const;
    const opened = world.output.open({ ...request, actor: ADMIN }, new AbortController().signal);
    await expect(opened).rejects.toMatchObject({ code: 'task_not_found' });
  });
});
