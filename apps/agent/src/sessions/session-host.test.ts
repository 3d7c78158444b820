import { stat } from 'node:fs/promises';
import { CloseReason } from '@drawbridge/protocol';
import { FakeClock, eventually, isAlive } from '@drawbridge/testkit';
import { describe, expect, it } from 'vitest';
import { AGENT_LIMITS } from '../limits.ts';
import { HostWorld, outputOf } from './session-host-fixture.ts';

const numbers = (count: number) => Array.from({ length: count }, (_, index) => `${index + 1}\n`).join('');

describe('a session', () => {
  it('is there for who comes later: what it printed, how it ended, until it is forgotten', async () => {
    await using world = await HostWorld.make();
    const { session_id: id, state } = await world.create({ mode: 'pipe', command: 'echo out; echo err >&2; exit 7' });
    expect(state).toBe('running');
    await eventually(() => world.sessions.find(id).info().state === 'exited', { what: 'the exit' });
    const channel = await world.attach(id);
    expect(channel.metadata).toMatchObject({ offset: 0, end: 8, mode: 'pipe', cols: 80, rows: 24 });
    expect((await outputOf(channel)).text.split('\n').toSorted()).toEqual(['', 'err', 'out']);
    expect(await channel.ended).toEqual({ code: CloseReason.Ok, reason: 'exited', exit_code: 7 });
    expect((await outputOf(await world.attach(id, { since: 8 }))).text).toBe('');
    expect(await world.end(id)).toMatchObject({ state: 'exited', exit_code: 7, output_bytes: 8 });
    await expect(world.attach(id)).rejects.toMatchObject({ code: 'session_not_found' });
  });

  it('begun again under its id is the same one', async () => {
    await using world = await HostWorld.make();
    const first = await world.create({ mode: 'pipe', command: ['cat'] });
    const [again, once] = await Promise.all([
      world.create({ session_id: first.session_id, mode: 'pipe', command: ['cat'] }),
      world.create({ session_id: first.session_id, mode: 'pipe', command: ['cat'] }),
    ]);
    expect([again.pid, once.pid]).toEqual([first.pid, first.pid]);
    expect(world.sessions.size).toBe(1);
  });

  it('says what is gone when the ring was outrun, and where the output goes on', async () => {
    await using world = await HostWorld.make();
    const all = numbers(20_000);
    const { session_id: id } = await world.create({ mode: 'pipe', command: 'seq 1 20000' }, { ringBytes: 4096 });
    await eventually(() => world.sessions.find(id).info().state === 'exited', { what: 'the exit' });
    const { text, gaps } = await outputOf(await world.attach(id, { since: 10 }));
    expect(gaps).toEqual([{ offset: all.length - 4096 }]);
    expect(text).toBe(all.slice(-4096));
  });

  it('is ended with all that it has started', async () => {
    await using world = await HostWorld.make();
    const { session_id: id, pid } = await world.create({
      command: 'trap "" HUP TERM; (setsid sh -c "echo \\$\\$; exec sleep 1000" &) ; sleep 1000',
    });
    const channel = await world.attach(id, { view: true });
    const child = Number((await outputOfLine(channel)).trim());
    expect([isAlive(pid), isAlive(child)]).toEqual([true, true]);
    expect(await world.end(id)).toMatchObject({ state: 'exited' });
    expect([isAlive(pid), isAlive(child)]).toEqual([false, false]);
    expect((await channel.ended).code).toBe(CloseReason.Ok);
  });

  it('knows its place in the environment and nothing of the agent', async () => {
    await using world = await HostWorld.make();
    const { session_id: id } = await world.create({ mode: 'pipe', command: ['env'], env: { GIVEN: 'yes' } });
    const { text } = await outputOf(await world.attach(id));
    const names = text.split('\n').map((line) => line.replace(/=.*/, ''));
    expect(names.toSorted()).toEqual(['', 'DRAWBRIDGE_SESSION_ID', 'GIVEN', 'HOME', 'PATH']);
    expect(text).toContain(`DRAWBRIDGE_SESSION_ID=${id}\n`);
  });
});

describe('fifty viewers', () => {
  it('see all of it, and the one who takes nothing costs the others and the session nothing', async () => {
    await using world = await HostWorld.make();
    const { session_id: id } = await world.create({ mode: 'pipe', command: 'read go; seq 1 300000' });
    const viewers = await Promise.all(Array.from({ length: 49 }, () => world.attach(id, { view: true })));
    const stalled = await world.attach(id, { view: true });
    const shown = viewers.map(outputOf);
    const writer = await world.attach(id, { since: 0 });
    const written = outputOf(writer);
    await writer.send(Buffer.from('go\n'));
    const all = numbers(300_000);
    expect((await written).text === all).toBe(true);
    for (const view of await Promise.all(shown)) {
      // One that fell behind further than the ring reaches was told.
      if (view.gaps.length === 0) expect(view.text === all).toBe(true);
      else expect(all.endsWith(view.text.slice(-1000))).toBe(true);
    }
    expect(world.sessions.find(id).info()).toMatchObject({ state: 'exited', exit_code: 0, viewers: 1 });
    stalled.close({ code: CloseReason.Ok, reason: 'enough' });
    await eventually(() => world.sessions.find(id).info().viewers === 0, { what: 'the last one to go' });
  });

  it('are as many as there may be', async () => {
    await using world = await HostWorld.make();
    const { session_id: id } = await world.create({ mode: 'pipe', command: ['cat'] });
    const count = AGENT_LIMITS.sessionViewersMax;
    await Promise.all(Array.from({ length: count }, () => world.attach(id, { view: true })));
    await expect(world.attach(id, { view: true })).rejects.toMatchObject({ code: 'queue_full' });
  });
});

describe('who writes', () => {
  it('holds the output back, and has all of it', async () => {
    await using world = await HostWorld.make();
    const count = 1_000_000;
    const { session_id: id } = await world.create({ mode: 'pipe', command: `read go; seq 1 ${count}` });
    const writer = await world.attach(id);
    await writer.send(Buffer.from('go\n'));
    const output = () => world.sessions.find(id).info();
    await eventually(() => output().output_bytes > AGENT_LIMITS.sessionLagBytesMax, { what: 'some output' });
    expect(output().state).toBe('running');
    const { text, gaps } = await outputOf(writer);
    expect(gaps).toEqual([]);
    expect(text === numbers(count)).toBe(true);
  });

  it('is one: a second one is refused unless it takes over, and then the first one is told', async () => {
    await using world = await HostWorld.make();
    const { session_id: id } = await world.create({ mode: 'pipe', command: ['cat'] });
    const first = await world.attach(id);
    await expect(world.attach(id)).rejects.toMatchObject({
      code: 'already_connected',
      message: expect.stringContaining('ann is attached'),
    });
    const second = await world.attach(id, { takeover: true });
    expect(await first.ended).toMatchObject({ code: CloseReason.Cancelled, reason: 'taken_over' });
    const heard = outputOf(second);
    await second.send(Buffer.from('mine\n'));
    second.end();
    expect((await heard).text).toBe('mine\n');
  });

  it('is followed by the next one when it has left', async () => {
    await using world = await HostWorld.make();
    const { session_id: id } = await world.create({ mode: 'pipe', command: ['cat'] });
    const first = await world.attach(id);
    first.close({ code: CloseReason.Ok, reason: 'enough' });
    await eventually(() => world.sessions.find(id).info().writer === undefined, { what: 'the first one to go' });
    await world.attach(id);
    expect(world.sessions.find(id).info().writer).toBe('ann');
  });

  it('alone is heard: what a viewer sends goes nowhere', async () => {
    await using world = await HostWorld.make();
    const { session_id: id } = await world.create({ mode: 'pipe', command: ['cat'] });
    const viewer = await world.attach(id, { view: true });
    await viewer.send(Buffer.from('not this\n'));
    await viewer.control({ signal: 'SIGKILL' });
    viewer.end();
    const writer = await world.attach(id);
    const heard = outputOf(writer);
    await writer.send(Buffer.from('this\n'));
    writer.end();
    expect((await heard).text).toBe('this\n');
    expect((await viewer.ended).exit_code).toBe(0);
  });
});

describe('bounds', () => {
  it.each([
    ['of all', { runningMax: 2 }, 'sessions.max: 2'],
    ['of one person', { runningOfOneMax: 2 }, 'sessions.max_per_user: user:1 has 2'],
  ])('%s count what runs and what is being started', async (_name, settings, message) => {
    await using world = await HostWorld.make();
    const cat = { mode: 'pipe', command: ['cat'] } as const;
    const made = await Promise.allSettled([1, 2, 3].map(() => world.create({ ...cat, command: ['cat'] }, settings)));
    const refused = made.filter((one) => one.status === 'rejected');
    expect(refused).toMatchObject([{ reason: { code: 'queue_full', message: expect.stringContaining(message) } }]);
    const begun = made.find((one) => one.status === 'fulfilled');
    await world.end(begun?.value.session_id ?? '');
    await world.create({ ...cat, command: ['cat'] }, settings);
  });

  it('end what nobody is attached to once its time is over, and no sooner', async () => {
    const clock = new FakeClock();
    await using world = await HostWorld.make(clock);
    const { session_id: id, pid } = await world.create({ mode: 'pipe', command: ['cat'] }, { ttlMs: 60_000 });
    const viewer = await world.attach(id, { view: true });
    await clock.advance(120_000);
    await world.sessions.sweep();
    expect(isAlive(pid)).toBe(true);
    viewer.close({ code: CloseReason.Ok, reason: 'enough' });
    await eventually(() => world.sessions.find(id).info().viewers === 0, { what: 'the viewer to go' });
    await clock.advance(59_999);
    await world.sessions.sweep();
    expect(isAlive(pid)).toBe(true);
    await clock.advance(1);
    const swept = world.sessions.sweep();
    await eventually(
      async () => {
        await clock.advance(AGENT_LIMITS.killPollMsMax);
        return world.sessions.size === 0;
      },
      { what: 'its end' },
    );
    await swept;
    expect(isAlive(pid)).toBe(false);
  });

  it('forget what has exited a while ago', async () => {
    const clock = new FakeClock();
    await using world = await HostWorld.make(clock);
    const { session_id: id } = await world.create({ mode: 'pipe', command: ['true'] });
    await eventually(() => world.sessions.find(id).info().state === 'exited', { what: 'the exit' });
    await clock.advance(AGENT_LIMITS.sessionExitedMs - 1);
    await world.sessions.sweep();
    expect(world.sessions.list()).toHaveLength(1);
    await clock.advance(1);
    await world.sessions.sweep();
    expect(world.sessions.list()).toEqual([]);
  });
});

it('is reached by its user alone', async () => {
  await using world = await HostWorld.make();
  expect((await stat(world.socketPath)).mode & 0o777).toBe(0o600);
});

/** The first line that comes. */
async function outputOfLine(channel: Awaited<ReturnType<HostWorld['attach']>>): Promise<string> {
  let text = '';
  while (!text.includes('\n')) {
    const item = await channel.read();
    if (item === undefined) throw new Error('no line came');
    if (item.kind === 'data') text += Buffer.from(item.bytes).toString();
  }
  return text;
}
