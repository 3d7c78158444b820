import { CloseReason, LIMITS } from '@drawbridge/protocol';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { settle } from '../../testkit/src/fake-clock.ts';
import { tunnelPair } from '../../testkit/src/tunnel-pair.ts';
import type { Channel, ChannelItem } from './channel.ts';
import { WindowBudget } from './credit.ts';

/** What one end of one channel does, step by step. */
type Step = { do: 'send'; bytes: number; stderr: boolean } | { do: 'control' } | { do: 'pause' };

const steps = fc.array(
  fc.oneof(
    fc.record({
      do: fc.constant('send' as const),
      bytes: fc.oneof(fc.nat(50), fc.nat(400_000)),
      stderr: fc.boolean(),
    }),
    fc.record({ do: fc.constant('control' as const) }),
    fc.record({ do: fc.constant('pause' as const) }),
  ),
  { maxLength: 12 },
);

/** Everything an end said, as a log: data byte by byte is too much, so runs of one stream with their sum and checksum. */
class Transcript {
  readonly lines: string[] = [];
  #run: { stderr: boolean; bytes: number; sum: number } | undefined;

  data(bytes: Uint8Array, stderr: boolean): void {
    if (bytes.byteLength === 0) return;
    if (this.#run?.stderr !== stderr) this.#flush();
    this.#run ??= { stderr, bytes: 0, sum: 0 };
    for (const byte of bytes) this.#run.sum = (this.#run.sum * 31 + byte) >>> 0;
    this.#run.bytes += bytes.byteLength;
  }

  add(line: string): void {
    this.#flush();
    this.lines.push(line);
  }

  #flush(): void {
    const run = this.#run;
    this.#run = undefined;
    if (run !== undefined) this.lines.push(`${run.stderr ? 'stderr' : 'data'} ${run.bytes} ${run.sum}`);
  }
}

async function speak(channel: Channel, script: readonly Step[], said: Transcript): Promise<void> {
  let next = channel.id;
  for (const step of script) {
    if (step.do === 'send') {
      const bytes = new Uint8Array(step.bytes);
      for (let index = 0; index < step.bytes; index += 1) bytes[index] = next = (next * 7 + 3) % 251;
      said.data(bytes, step.stderr);
      await channel.send(bytes, { stderr: step.stderr });
    } else if (step.do === 'control') {
      next += 1;
      said.add(`control ${next}`);
      await channel.control({ next });
    } else await settle();
  }
  said.add('fin');
  channel.end();
}

async function listen(channel: Channel, heard: Transcript): Promise<void> {
  for await (const item of channel) {
    note(item, heard);
    if (item.kind === 'fin') return;
  }
}

function note(item: ChannelItem, heard: Transcript): void {
  if (item.kind === 'data') heard.data(item.bytes, item.stderr);
  else if (item.kind === 'control') heard.add(`control ${String(item.value['next'])}`);
  else heard.add('fin');
}

it('delivers every byte once and in order, on every channel, both ways', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(steps, steps), { minLength: 1, maxLength: 5 }), async (scripts) => {
      await using pair = tunnelPair();
      await Promise.all(
        scripts.map(async ([nearScript, farScript]) => {
          const { near, far } = await pair.open();
          const said = [new Transcript(), new Transcript()] as const;
          const heard = [new Transcript(), new Transcript()] as const;
          await Promise.all([
            speak(near, nearScript, said[0]),
            listen(far, heard[0]),
            speak(far, farScript, said[1]),
            listen(near, heard[1]),
          ]);
          expect(heard.map(({ lines }) => lines)).toEqual(said.map(({ lines }) => lines));
          near.close({ code: CloseReason.Ok, reason: '' });
          await Promise.all([near.ended, far.ended]);
        }),
      );
      for (const wire of [pair.sockets.aToB, pair.sockets.bToA]) {
        expect(wire.bufferedBytesHighest).toBeLessThanOrEqual(LIMITS.socketBufferBytesMax);
      }
      expect([pair.operatorBudget.bytesUsed, pair.agentBudget.bytesUsed]).toEqual([0, 0]);
      expect([pair.operator.channels, pair.agent.channels]).toEqual([0, 0]);
    }),
    { numRuns: 40 },
  );
});

/** Before the first DATA the opener has sent a HEARTBEAT, the answer to the other's, and CHANNEL_OPEN. */
const FRAMES_BEFORE_DATA = 3;
const SENT = [1, 2, 3, 4, 5, 6];

// One run per place the wire can break: before any byte, between any two, after the last.
it.each([0, 1, 2, 3, 4, 5, 6])(
  'delivers what came before, and then ends with 8, when the wire is cut after %i bytes',
  async (count) => {
    await using pair = tunnelPair({ wires: { aToB: { cutAfter: FRAMES_BEFORE_DATA + count } } });
    const { near, far } = await pair.open();
    for (const value of SENT) near.send(Uint8Array.of(value)).catch(() => undefined);
    await settle();
    const received: number[] = [];
    for await (const item of far) if (item.kind === 'data') received.push(...item.bytes);
    expect(received).toEqual(SENT.slice(0, count));
    expect([(await near.ended).code, (await far.ended).code]).toEqual([8, 8]);
    await Promise.all([pair.operator.ended, pair.agent.ended]);
    expect(pair.clock.pending).toBe(0);
  },
);

it('takes turns: a channel with much to say does not hold back one with little', async () => {
  await using pair = tunnelPair();
  const [much, little] = [await pair.open(), await pair.open()];
  pair.sockets.aToB.stall();
  void much.near.send(new Uint8Array(1_000_000)).catch(() => undefined);
  void little.near.send(Uint8Array.of(1));
  pair.sockets.aToB.release();
  await little.far.read();
  expect(pair.sockets.aToB.delivered).toBeLessThan(20);
  const waiting = await much.far.read();
  expect(waiting).toMatchObject({ kind: 'data' });
});

it('lets a close with a reason overtake the data before it, and drops what was not sent', async () => {
  await using pair = tunnelPair();
  const { near, far } = await pair.open();
  const sending = near.send(new Uint8Array(2_000_000));
  near.close({ code: CloseReason.Cancelled, reason: 'enough' });
  await expect(sending).rejects.toMatchObject({ code: 'cancelled' });
  expect(await far.ended).toEqual({ code: CloseReason.Cancelled, reason: 'enough' });
  expect(pair.operator.channels).toBe(0);
});

it('closes in order though the peer waits for credit, because what nobody reads is credited', async () => {
  await using pair = tunnelPair();
  const { near, far } = await pair.open();
  // Both are out of credit, and neither reads: only the closing end can move.
  const pushed = far.send(new Uint8Array(3 * LIMITS.windowBytesInitial));
  void near.send(new Uint8Array(3 * LIMITS.windowBytesInitial)).catch(() => undefined);
  await settle();
  near.close({ code: CloseReason.Ok, reason: '' });
  await pushed;
  let bytes = 0;
  for await (const item of far) if (item.kind === 'data') bytes += item.bytes.byteLength;
  expect(bytes).toBe(3 * LIMITS.windowBytesInitial);
  expect((await far.ended).code).toBe(CloseReason.Ok);
});

it('stops waiting when its caller does: to read, and to send', async () => {
  await using pair = tunnelPair();
  const { near, far } = await pair.open();
  const abort = new AbortController();
  const reading = far.read(abort.signal);
  const sending = near.send(new Uint8Array(1_000_000), {}, abort.signal);
  await expect(far.read()).rejects.toThrow('one reader');
  abort.abort(new Error('enough'));
  await expect(sending).rejects.toThrow('enough');
  await expect(reading).resolves.toMatchObject({ kind: 'data' });
});

it('reads on after an aborted read, without losing an item', async () => {
  await using pair = tunnelPair();
  const { near, far } = await pair.open();
  const abort = new AbortController();
  const reading = far.read(abort.signal);
  abort.abort(new Error('enough'));
  await expect(reading).rejects.toThrow('enough');
  await near.send(Uint8Array.of(1));
  expect(await far.read()).toMatchObject({ bytes: Uint8Array.of(1) });
});

it('puts small chunks of a chatty peer together while nobody reads', async () => {
  await using pair = tunnelPair();
  const { near, far } = await pair.open();
  for (let value = 0; value < 2_000; value += 1) void near.send(Uint8Array.of(value % 256));
  near.end();
  await settle();
  const first = await far.read();
  expect(first).toMatchObject({ kind: 'data', bytes: { byteLength: 2_000 } });
  expect(await far.read()).toEqual({ kind: 'fin' });
});

it('never puts chunks of different streams together', async () => {
  await using pair = tunnelPair();
  const { near, far } = await pair.open();
  for (const stderr of [false, true, true, false]) void near.send(Uint8Array.of(1), { stderr });
  near.close({ code: CloseReason.Ok, reason: '' });
  await far.ended;
  const lengths: string[] = [];
  for await (const item of far) if (item.kind === 'data') lengths.push(`${item.stderr} ${item.bytes.byteLength}`);
  expect(lengths).toEqual(['false 1', 'true 2', 'false 1']);
});

it('refuses to send after its end, and a CONTROL that is too long', async () => {
  await using pair = tunnelPair();
  const { near } = await pair.open();
  await expect(near.control({ text: 'x'.repeat(20_000) })).rejects.toMatchObject({ code: 'payload_too_large' });
  near.end();
  near.end();
  await expect(near.send(Uint8Array.of(1))).rejects.toThrow('send after end');
});

it('grows the window of a far and quick reader, and not past its budget', async () => {
  const budget = new WindowBudget(4 * LIMITS.windowBytesInitial);
  await using pair = tunnelPair({ wires: { latencyMs: 50 }, agentBudget: budget });
  const opening = pair.open();
  await pair.clock.advance(200);
  const { near, far } = await opening;
  const reading = (async () => {
    for await (const item of far) if (item.kind === 'fin') return;
  })();
  void near.send(new Uint8Array(8 * 1024 * 1024));
  near.end();
  await pair.clock.advance(2_000);
  await reading;
  expect(budget.bytesUsed).toBe(4 * LIMITS.windowBytesInitial);
});

it('says whether there is room for more, and when there is again', async () => {
  await using pair = tunnelPair();
  const { near, far } = await pair.open();
  expect(near.push(new Uint8Array(LIMITS.windowBytesInitial))).toBe(true);
  expect(near.push(new Uint8Array(LIMITS.channelOutboxBytesMax))).toBe(true);
  expect(near.push(Uint8Array.of(1))).toBe(false);
  const room = near.room();
  await settle();
  for (let item = far.take(); item !== undefined; item = far.take()) await settle();
  await room;
  expect(near.push(Uint8Array.of(1))).toBe(true);
});

it('gives at once what is here, in order with what is waited for', async () => {
  await using pair = tunnelPair();
  const { near, far } = await pair.open();
  expect(far.take()).toBeUndefined();
  void near.control({ first: 1 });
  near.end();
  await settle();
  expect(far.take()).toMatchObject({ kind: 'control' });
  expect(await far.read()).toMatchObject({ kind: 'fin' });
  expect(far.take()).toBeUndefined();
  near.close({ code: CloseReason.Ok, reason: '' });
  expect(() => near.push(Uint8Array.of(1))).toThrow();
});
