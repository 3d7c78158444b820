import type { MessageSocket, SocketListener } from '@drawbridge/link';
import { CloseReason, LIMITS } from '@drawbridge/protocol';
import { settle } from '@drawbridge/testkit';
import * as fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { CONNECTED, PART, replay, stderr, stdout, TerminalStory } from './terminal-socket-fixture.ts';
import type { Shown } from './terminal-socket-fixture.ts';
import { serveTerminal } from './terminal-socket.ts';

const KIB = 1024;
const exited = { code: CloseReason.Ok, reason: 'exited', exit_code: 0 };

const stories: TerminalStory[] = [];
afterEach(async () => {
  await Promise.all(stories.splice(0).map((story) => story[Symbol.asyncDispose]()));
});

async function begin(...options: Parameters<typeof TerminalStory.begin>): Promise<TerminalStory> {
  const story = await TerminalStory.begin(...options);
  stories.push(story);
  return story;
}

async function connected(): Promise<TerminalStory> {
  const story = await TerminalStory.connected();
  stories.push(story);
  return story;
}

describe('what was there already', () => {
  it('comes as one message with its offset, and before `connected`', async () => {
    const story = await begin({ offset: 4_294_967_301, end: 4_294_967_307 });
    await story.print('abc');
    expect(story.shown).toEqual([]);
    await story.print('def', true);
    expect(story.shown).toEqual([replay(4_294_967_301, 'abcdef'), CONNECTED]);
  });

  it('is not spoken of when there is none', async () => {
    const story = await begin({ offset: 7, end: 7, mode: 'pipe' });
    await story.print('live');
    expect(story.shown).toEqual([{ ...CONNECTED, mode: 'pipe' }, stdout('live')]);
  });

  it.each([false, true])('ends where it was said to, within one chunk too (stderr: %s)', async (isStderr) => {
    const story = await begin({ offset: 10, end: 13 });
    await story.print('abcdef', isStderr);
    await story.print('g', isStderr);
    const live = isStderr ? stderr : stdout;
    expect(story.shown).toEqual([replay(10, 'abc'), CONNECTED, live('def'), live('g')]);
  });

  it('and what comes behind it are together all there is, however it is cut', async () => {
    const chunks = fc.array(fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 9 }), { minLength: 1 });
    await fc.assert(
      fc.asyncProperty(chunks, fc.nat(60), async (texts, wanted) => {
        const all = texts.join('');
        const end = Math.min(wanted, all.length);
        await using story = await TerminalStory.begin({ offset: 100, end: 100 + end });
        for (const text of texts) await story.print(text);
        const live = story.shown.flatMap((one) => ('kind' in one && one.kind === 'stdout' ? [one.text] : []));
        const [first, ...others] = story.shown.filter((one) => 'kind' in one && one.kind === 'replay');
        expect([first, others]).toEqual([end > 0 ? replay(100, all.slice(0, end)) : undefined, []]);
        expect(live.join('')).toBe(all.slice(end));
      }),
      { numRuns: 50 },
    );
  });

  it('begins later when its beginning is gone meanwhile', async () => {
    const story = await begin({ offset: 0, end: 6 });
    await story.tell({ offset: 1 });
    await story.print('bc');
    await story.tell({ offset: 4 });
    await story.print('efg');
    expect(story.shown).toEqual([replay(4, 'ef'), CONNECTED, stdout('g')]);
  });

  it('tells where what follows begins when all of it is gone meanwhile', async () => {
    const story = await begin({ offset: 0, end: 6 });
    await story.print('abc');
    await story.tell({ offset: 9 });
    await story.print('j');
    expect(story.shown).toContainEqual(replay(9, ''));
    expect(story.shown.at(-1)).toEqual(stdout('j'));
  });

  it('is not mixed up by what says nothing about it', async () => {
    const story = await begin({ offset: 0, end: 2 });
    await story.tell({ colour: 'blue' });
    await story.print('ab');
    expect(story.shown).toEqual([replay(0, 'ab'), CONNECTED]);
  });

  it('is shown as far as it came when the session ends first', async () => {
    const story = await begin({ offset: 0, end: 6 });
    await story.print('abc');
    expect(await story.close(exited)).toMatchObject({ code: 1000 });
    expect(story.shown).toEqual([replay(0, 'abc'), CONNECTED, { type: 'exit', exit_code: 0 }]);
  });
});

describe('output', () => {
  it('comes with its stream first, in messages that are not too long', async () => {
    const story = await connected();
    await story.print('o'.repeat(100_000));
    await story.print('e'.repeat(32_769), true);
    const shown = story.shown.flatMap((one) => ('kind' in one && one.kind !== 'replay' ? [one] : []));
    expect(Math.max(...shown.map(({ text }) => text.length))).toBe(32_768);
    const of = (kind: Shown extends infer S ? (S extends { kind: infer K } ? K : never) : never) =>
      shown.filter((one) => one.kind === kind).map(({ text }) => text);
    expect(of('stdout').join('')).toBe('o'.repeat(100_000));
    expect(of('stderr').map(({ length }) => length)).toEqual([32_768, 1]);
  });

  it('is told to go on elsewhere after a gap', async () => {
    const story = await connected();
    await story.print('a');
    await story.tell({ offset: 20 });
    await story.tell({ colour: 'blue' });
    await story.print('u');
    expect(story.shown).toEqual([stdout('a'), replay(20, ''), stdout('u')]);
  });
});

describe('input', () => {
  it.each<[string, Parameters<TerminalStory['say']>[0], unknown]>([
    ['bytes', Uint8Array.of(0, 0x6c, 0xff, 0), 'l\xff\0'],
    ['text', { type: 'stdin', data: 'lé\r' }, Buffer.from('lé\r').toString('latin1')],
    ['a size', { type: 'resize', cols: 100, rows: 30, colour: 'blue' }, { cols: 100, rows: 30 }],
    ['a signal', { type: 'signal', signal: 'SIGINT' }, { signal: 'SIGINT' }],
  ])('carries %s to the session', async (_what, message, expected) => {
    const story = await connected();
    await story.say(message);
    expect([story.heard(), story.shown]).toEqual([[expected], []]);
  });

  it('answers a ping, with a line', async () => {
    const story = await connected();
    const send = vi.spyOn(story.sockets.a, 'send');
    await story.say({ type: 'ping' });
    expect([story.heard(), story.shown]).toEqual([[], [{ type: 'pong' }]]);
    expect(send).toHaveBeenCalledExactlyOnceWith('{"type":"pong"}\n');
  });

  it.each<[string, Parameters<TerminalStory['say']>[0]]>([
    ['no JSON', '{"type":'],
    ['no object', '7'],
    ['null', 'null'],
    ['nothing', Uint8Array.of()],
    ['no input', Uint8Array.of(0)],
    ['a frame of the other direction', Uint8Array.of(1, 2, 3)],
    ['a frame of no kind', Uint8Array.of(0x7b, 0x7d)],
    ['a size without rows', { type: 'resize', cols: 80 }],
    ['a size of nothing', { type: 'resize', cols: 0, rows: 24 }],
    ['a signal that nobody may send', { type: 'signal', signal: 'SIGUSR1' }],
    ['input that is no text', { type: 'stdin', data: 7 }],
  ])('passes over %s', async (_what, message) => {
    const story = await connected();
    await story.say(message);
    expect([story.heard(), story.shown]).toEqual([[], []]);
    await story.say({ type: 'ping' });
    expect(story.shown).toEqual([{ type: 'pong' }]);
  });

  it.each<[string, unknown, string]>([
    ['a type it does not know', 'shout', '"shout"'],
    ['none', undefined, '"undefined"'],
    ['a long one', 'x'.repeat(1_000), `"${'x'.repeat(64)}"`],
  ])('says what is wrong with %s, and goes on', async (_what, kind, named) => {
    const story = await connected();
    await story.say({ type: kind });
    await story.say({ type: 'ping' });
    const error = { type: 'error', error: `unknown frame type ${named}`, code: 'INVALID_FRAME' };
    expect([story.shown, story.heard()]).toEqual([[error, { type: 'pong' }], []]);
  });

  it.each([
    ['cannot be made a text', '{"type":{"toString":1}}'],
    ['nests too deep', `{"type":${'['.repeat(200_000)}${']'.repeat(200_000)}}`],
  ])('lives through a type that %s', async (_what, message) => {
    const { agent, tunnel } = await connected();
    const listeners: SocketListener[] = [];
    const nothing = () => undefined;
    const socket = { send: nothing, close: nothing, listen: (one: SocketListener) => listeners.push(one) };
    void serveTerminal(socket as unknown as MessageSocket, agent, 'session-2');
    try {
      expect(() => listeners[0]?.message(message)).not.toThrow();
    } finally {
      listeners[0]?.closed({ code: 1006, reason: '' });
      tunnel.sockets.cut();
    }
  });
});

describe('the end', () => {
  it.each([
    [exited, 0],
    [{ ...exited, exit_code: 130 }, 130],
    [{ code: CloseReason.Ok, reason: 'SIGKILL' }, -1],
  ])('of a process that ended with %o is said as %i', async (end, exitCode) => {
    const story = await connected();
    await story.print('last words');
    expect(await story.close(end)).toEqual({ code: 1000, reason: 'process exited' });
    expect(story.shown).toEqual([stdout('last words'), { type: 'exit', exit_code: exitCode }]);
    await story.served;
  });

  it.each([
    [{ code: CloseReason.Cancelled, reason: 'taken_over' }, 4001, 'TAKEN_OVER'],
    [{ code: CloseReason.GraceExpired, reason: 'agent away' }, 1013, 'agent away'],
    [{ code: CloseReason.AgentShutdown, reason: 'bye' }, 1013, 'bye'],
    [{ code: CloseReason.ResourceLimit, reason: 'too much' }, 1013, 'too much'],
  ])('of a channel with %o is %i, and no exit', async (end, code, reason) => {
    const story = await connected();
    expect(await story.close(end)).toEqual({ code, reason });
    expect(story.shown).toEqual([]);
    await story.served;
  });

  it('is there when the socket is closed, too', async () => {
    const story = await connected();
    const served = vi.fn<() => void>();
    void story.served.then(served);
    story.sockets.aToB.stall();
    story.agent.close(exited);
    await settle();
    expect(served).not.toHaveBeenCalled();
    story.sockets.aToB.release();
    await story.served;
  });

  it('of a tunnel that is lost asks the viewer to come back', async () => {
    const story = await connected();
    story.tunnel.sockets.cut();
    expect(await story.closed).toMatchObject({ code: 1013 });
  });

  it.each(['closes', 'is cut'])('of the viewer, whose socket %s, is that of the channel', async (how) => {
    const story = await begin({ offset: 0, end: how === 'closes' ? 0 : 5 });
    if (how === 'closes') story.sockets.b.close(1000, 'bye');
    else story.sockets.cut();
    expect(await story.agent.ended).toMatchObject({ code: CloseReason.Ok });
    await story.served;
  });

  it.each([{ offset: -1 }, { offset: 'a' }, { mode: undefined }])(
    'comes at once when the agent says %o',
    async (ack) => {
      const story = await begin(ack as { offset: unknown });
      expect(await story.closed).toMatchObject({ code: 1011 });
      expect((await story.agent.ended).code).toBe(CloseReason.Ok);
      expect(story.shown).toEqual([]);
      await story.served;
    },
  );
});

describe('who does not keep up', () => {
  it('holds the session back when it is the viewer, and loses nothing', async () => {
    const story = await connected();
    const { aToB } = story.sockets;
    aToB.stall();
    const bytes = await story.printUntilFull();
    expect(aToB.bufferedBytes).toBeGreaterThan(256 * KIB);
    expect(aToB.bufferedBytesHighest).toBeLessThanOrEqual((256 + 64) * KIB + 3);
    aToB.release();
    await story.close(exited);
    expect(story.shown.map((one) => ('text' in one ? one.text : '')).join('')).toHaveLength(bytes);
  });

  it('may leave while the session waits, with bytes that its socket never sends', async () => {
    const story = await connected();
    // As `ws` goes on counting them after the end.
    vi.spyOn(story.sockets.a, 'bufferedBytes', 'get').mockReturnValue(1024 * KIB);
    await story.printUntilFull();
    story.sockets.cut();
    expect(await story.agent.ended).toMatchObject({ code: CloseReason.Ok });
    await story.served;
  });

  it('holds the viewer back when it is the session, and loses nothing', async () => {
    const story = await connected();
    const parts = 40;
    for (let part = 0; part < parts; part += 1) story.sockets.b.send(`{"type":"stdin","data":"${PART}"}`);
    await settle();
    const betweenBytes = LIMITS.windowBytesInitial + LIMITS.channelOutboxBytesMax;
    expect(story.sockets.bToA.delivered * PART.length).toBeLessThanOrEqual(betweenBytes + 2 * PART.length);
    let taken = 0;
    while (taken < parts * PART.length) {
      const item = await story.agent.read();
      if (item?.kind === 'data') taken += item.bytes.byteLength;
    }
    expect(story.sockets.bToA.delivered).toBe(parts);
  });
});
