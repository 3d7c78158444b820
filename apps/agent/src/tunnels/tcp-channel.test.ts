import { createHash, randomBytes } from 'node:crypto';
import type { Channel } from '@drawbridge/link';
import { CloseReason, LIMITS } from '@drawbridge/protocol';
import { memoryLog } from '@drawbridge/runtime/testing';
import { FakeClock, TempDir, eventually, settle, tunnelPair } from '@drawbridge/testkit';
import type { TunnelPair } from '@drawbridge/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AGENT_LIMITS } from '../limits.ts';
import { codeOf } from './name-lookup.ts';
import type { Resolver } from './name-lookup.ts';
import { NEVER_REACHED } from './ssrf-corpus-fixture.ts';
import { TargetPolicy } from './target-policy.ts';
import { tcpChannels } from './tcp-channel.ts';
import { TcpTarget, deafTarget, echo } from './tcp-target-fixture.ts';

const PROTOCOLS = ['tcp', 'ssh', 'winrm', 'rdp', 'vnc', 'webrtc'] as const;
const HOST = '127.0.0.1';

let clock: FakeClock;
let pair: TunnelPair;
let lines: Record<string, unknown>[];
let lookups: string[];
let made: AsyncDisposable[];
beforeEach(() => {
  clock = new FakeClock();
  made = [];
  serve();
});
afterEach(async () => {
  await pair[Symbol.asyncDispose]();
  for (const thing of made) await thing[Symbol.asyncDispose]();
  expect(clock.pending).toBe(0);
});

/** An agent's end whose file says this, on a machine whose resolver answers so. */
function serve(
  lists: { allow?: string[]; deny?: string[] } = {},
  resolve: Resolver = () => Promise.reject(new Error('nobody has this name')),
): void {
  const memory = memoryLog();
  lines = memory.lines;
  lookups = [];
  const servers = tcpChannels({
    policy: new TargetPolicy({ allow: ['127.0.0.1:*'], deny: [], ...lists }),
    clock,
    log: memory.log,
    resolve: (name) => {
      lookups.push(name);
      return resolve(name);
    },
  });
  pair = tunnelPair({
    accept: (offer) => servers[offer.protocol as keyof typeof servers](offer, String(offer.metadata['tunnel'])),
  });
}

function own<T extends AsyncDisposable>(thing: T): T {
  made.push(thing);
  return thing;
}

async function target(...args: Parameters<typeof TcpTarget.listen>): Promise<TcpTarget> {
  return own(await TcpTarget.listen(...args));
}

function open(metadata: Record<string, unknown>, protocol = 'tcp', signal?: AbortSignal): Promise<Channel> {
  return pair.operator.open({ protocol, metadata: { tunnel: 'tunnel-1', ...metadata } }, signal);
}

/** All data up to the end of the other side. */
async function rest(channel: Channel): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for (let item = await channel.read(); item?.kind === 'data'; item = await channel.read()) chunks.push(item.bytes);
  return Buffer.concat(chunks);
}

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

describe('a target that answers', () => {
  it.each(PROTOCOLS)('is reached by a channel of %s, which says the address', async (protocol) => {
    const { port } = await target(echo);
    const channel = await open({ port }, protocol);
    expect(channel.metadata).toEqual({ address: HOST, port });
    await channel.send(Buffer.from('hello'));
    channel.end();
    expect((await rest(channel)).toString()).toBe('hello');
    expect(await channel.ended).toMatchObject({ code: CloseReason.Ok });
  });

  it('answers after it has heard the end', async () => {
    const { port } = await target((socket) => {
      let heard = 0;
      socket.on('data', (chunk: Buffer) => (heard += chunk.byteLength));
      socket.on('end', () => socket.end(`${heard} bytes`));
    });
    const channel = await open({ host: 'localhost', port });
    await channel.send(randomBytes(1_000_000));
    channel.end();
    expect((await rest(channel)).toString()).toBe('1000000 bytes');
  });

  it('may end first, and still hears what comes', async () => {
    const heard = Promise.withResolvers<string>();
    const { port } = await target((socket) => {
      socket.end('bye');
      socket.on('data', (chunk: Buffer) => heard.resolve(chunk.toString()));
    });
    const channel = await open({ port });
    expect((await rest(channel)).toString()).toBe('bye');
    await channel.send(Buffer.from('wait'));
    expect(await heard.promise).toBe('wait');
    channel.end();
    expect(await channel.ended).toMatchObject({ code: CloseReason.Ok });
  });

  it('gets and gives many bytes at once, unchanged', async () => {
    const { port } = await target(echo);
    const channel = await open({ port });
    const bytes = randomBytes(6_000_000);
    const sent = channel.send(bytes).then(() => channel.end());
    expect(hash(await rest(channel))).toBe(hash(bytes));
    await sent;
  });

  it('leaves neither socket nor channel behind', async () => {
    const here = await target(echo);
    const channels = await Promise.all(Array.from({ length: 20 }, () => open({ port: here.port })));
    await eventually(() => here.sockets.size === 20, { what: 'all connections' });
    for (const [index, channel] of channels.entries()) {
      if (index % 2 === 0) channel.end();
      else channel.close({ code: CloseReason.Cancelled, reason: 'enough' });
      await channel.ended;
    }
    await eventually(() => here.sockets.size === 0 && pair.agent.channels === 0, { what: 'everything to be gone' });
  });

  it('ends the channel with 8 and the reason when it resets the connection', async () => {
    const { port } = await target((socket) => socket.once('data', () => socket.resetAndDestroy()));
    const channel = await open({ port });
    await channel.send(Buffer.from('hello'));
    const { code, reason } = await channel.ended;
    expect(code).toBe(CloseReason.UnexpectedDisconnect);
    expect(reason).toContain('ECONNRESET');
  });

  it('is told of as reset when it resets at once, connected already or not yet', async () => {
    const { port } = await target((socket) => socket.resetAndDestroy());
    const opened = await open({ port }).catch((error: unknown) => error);
    const told = opened instanceof Error ? opened.message : (await (opened as Channel).ended).reason;
    expect(told).toContain('ECONNRESET');
  });

  it('may be a unix socket that is listed', async () => {
    const dir = own(await TempDir.make());
    const unix = dir.join('a.sock');
    await target(echo, { path: unix });
    await expect(open({ unix })).rejects.toMatchObject({ code: 'forbidden' });
    await pair[Symbol.asyncDispose]();
    serve({ allow: [`unix:${unix}`] });
    const channel = await open({ unix });
    expect(channel.metadata).toEqual({ unix });
    await channel.send(Buffer.from('hello'));
    channel.end();
    expect((await rest(channel)).toString()).toBe('hello');
  });

  it('is found at the second address of its name when the first one does not answer', async () => {
    serve({ allow: ['127.0.0.0/8'] }, () => Promise.resolve(['127.0.0.9', HOST]));
    const { port } = await target(echo);
    expect((await open({ host: 'two.test', port })).metadata).toEqual({ address: HOST, port });
  });
});

describe('a target that is refused', () => {
  it('is never dialled, whatever its spelling and protocol, though the file allows everything', async () => {
    serve({ allow: ['*', '0.0.0.0/0', '::/0'] }, () => Promise.resolve(['169.254.169.254']));
    const reached: string[] = [];
    for (const [index, host] of NEVER_REACHED.entries()) {
      const answer: unknown = await open({ host, port: 80 }, PROTOCOLS[index % PROTOCOLS.length]).catch(codeOf);
      if (answer !== 'forbidden' && answer !== 'invalid_request') reached.push(host);
    }
    expect(reached).toEqual([]);
    expect(pair.agent.channels).toBe(0);
  });

  it('is named with the rule, to the operator and in the log', async () => {
    serve({ deny: ['127.0.0.1:22'] });
    const message = '127.0.0.1:22 is not dialled: tunnels.deny has 127.0.0.1:22';
    await expect(open({}, 'ssh')).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining(message),
    });
    expect(lines).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        msg: 'target refused',
        tunnelId: 'tunnel-1',
        protocol: 'ssh',
        reason: message,
      }),
    );
  });

  it('stays refused when its name leads elsewhere the second time', async () => {
    const { port, accepted } = await target(echo);
    serve({ allow: ['*.test'] }, () => Promise.resolve(lookups.length === 1 ? ['169.254.169.254'] : [HOST]));
    await expect(open({ host: 'rebind.test', port })).rejects.toMatchObject({ code: 'forbidden' });
    expect([lookups, accepted]).toEqual([['rebind.test'], 0]);
  });

  it('is not reached by a name that led to another address when it was checked', async () => {
    const here = await target(echo);
    serve({ allow: ['127.0.0.1:*'] }, () => Promise.resolve(lookups.length === 1 ? [HOST] : ['169.254.169.254']));
    const channel = await open({ host: 'rebind.test', port: here.port });
    expect(channel.metadata).toEqual({ address: HOST, port: here.port });
    await eventually(() => here.accepted === 1, { what: 'the connection' });
    expect(lookups).toEqual(['rebind.test']);
  });

  it.each([
    ['tcp', {}, 'tcp channel: it names no port'],
    ['webrtc', { host: HOST }, 'webrtc channel: it names no port'],
    ['tcp', { port: 0 }, 'port'],
    ['tcp', { port: 65_536 }, 'port'],
    ['tcp', { port: 22.5 }, 'port'],
    ['tcp', { port: '22' }, 'port'],
    ['tcp', { host: '', port: 22 }, 'host'],
    ['tcp', { host: 'a'.repeat(254), port: 22 }, 'host'],
    ['tcp', { host: [HOST], port: 22 }, 'host'],
    ['tcp', { unix: '/a.sock', port: 22 }, 'both'],
    ['tcp', { unix: 'a.sock' }, 'unix'],
  ])('is invalid as %s %j', async (protocol, metadata, reason) => {
    const opened = open(metadata, protocol);
    await expect(opened).rejects.toMatchObject({ code: 'invalid_request', message: expect.stringContaining(reason) });
  });
});

describe('a target that does not answer', () => {
  it('is unreachable with the reason of each address', async () => {
    const here = await target(echo);
    const { port } = here;
    await here[Symbol.asyncDispose]();
    await expect(open({ port })).rejects.toMatchObject({
      code: 'target_unreachable',
      message: expect.stringContaining(`127.0.0.1:${port}: ECONNREFUSED`),
    });
    serve({ allow: ['127.0.0.0/8'] }, () => Promise.resolve(['127.0.0.2', '127.0.0.3']));
    const message = `127.0.0.2:${port}: ECONNREFUSED; 127.0.0.3:${port}: ECONNREFUSED`;
    await expect(open({ host: 'two.test', port })).rejects.toMatchObject({ message: expect.stringContaining(message) });
  });

  it('is tried at so many addresses and no more', async () => {
    const here = await target(echo);
    const { port } = here;
    await here[Symbol.asyncDispose]();
    const many = Array.from({ length: 100 }, (_, index) => `127.0.1.${index + 1}`);
    serve({ allow: ['127.0.0.0/8'] }, () => Promise.resolve(many));
    const error: unknown = await open({ host: 'many.test', port }).catch((reason: unknown) => reason);
    expect(String(error).split('ECONNREFUSED')).toHaveLength(AGENT_LIMITS.tunnelAddressesMax + 1);
  });

  it('is given up when the time of a dial is over', async () => {
    const { port } = own(await deafTarget());
    const before = tcpHandles();
    const opened = open({ port }).catch((error: unknown) => error);
    await eventually(() => tcpHandles() > before, { what: 'the dial' });
    await clock.advance(LIMITS.dialTimeoutMs - 1);
    expect(await Promise.race([opened, settle()])).toBeUndefined();
    await clock.advance(1);
    expect(await opened).toMatchObject({
      code: 'target_unreachable',
      message: expect.stringContaining(`127.0.0.1:${port}: no answer within 10000 ms`),
    });
    await eventually(() => tcpHandles() === before, { what: 'the socket to be gone' });
  });

  it('leaves the next address its share of the time', async () => {
    const { port } = own(await deafTarget());
    await target(echo, { host: '127.0.0.2', port });
    serve({ allow: ['127.0.0.0/8'] }, () => Promise.resolve([HOST, '127.0.0.2']));
    const opened = open({ host: 'two.test', port });
    await eventually(() => clock.pending > 1, { what: 'the first dial' });
    await clock.advance(LIMITS.dialTimeoutMs / 2);
    expect((await opened).metadata).toEqual({ address: '127.0.0.2', port });
  });

  it('is dialled no longer when the operator gives up', async () => {
    const { port } = own(await deafTarget());
    const giveUp = new AbortController();
    const before = tcpHandles();
    const opened = open({ port }, 'tcp', giveUp.signal);
    await eventually(() => tcpHandles() > before, { what: 'the dial' });
    giveUp.abort(new Error('enough'));
    await expect(opened).rejects.toThrow('enough');
    await eventually(() => clock.pending === 0 && pair.agent.channels === 0, { what: 'the end of the dial' });
    await eventually(() => tcpHandles() === before, { what: 'the socket to be gone' });
    expect(lines).toEqual([]);
  });

  it('lets no more of one tunnel dial than it may, and no other tunnel wait', async () => {
    const deaf = own(await deafTarget());
    const here = await target(echo);
    const giveUp = new AbortController();
    const waiting = Array.from({ length: AGENT_LIMITS.tunnelDialsMax }, () =>
      open({ port: deaf.port }, 'tcp', giveUp.signal),
    );
    const ended = Promise.allSettled(waiting);
    const last = open({ port: here.port });
    for (let times = 0; times < 3; times += 1) await open({ port: here.port, tunnel: 'tunnel-2' });
    expect(await Promise.race([last, settle()])).toBeUndefined();
    giveUp.abort(new Error('enough'));
    expect((await last).metadata).toEqual({ address: HOST, port: here.port });
    await ended;
  });
});

describe('a name', () => {
  it('that is not there is unreachable', async () => {
    serve({ allow: ['*.test'] }, () => Promise.reject(Object.assign(new Error('x'), { code: 'ENOTFOUND' })));
    const refusal = { code: 'target_unreachable', message: expect.stringContaining('none.test: ENOTFOUND') };
    await expect(open({ host: 'none.test', port: 22 })).rejects.toMatchObject(refusal);
  });

  it('without an address is unreachable', async () => {
    serve({ allow: ['*.test'] }, () => Promise.resolve([]));
    const refusal = { code: 'target_unreachable', message: expect.stringContaining('it has no address') };
    await expect(open({ host: 'none.test', port: 22 })).rejects.toMatchObject(refusal);
  });

  it('whose lookup never ends is unreachable, and holds up no more than its place', async () => {
    const answers: (() => void)[] = [];
    serve({ allow: ['*.test'] }, () => new Promise((resolve) => answers.push(() => resolve([HOST]))));
    const { port } = await target(echo);
    const slow = Array.from({ length: 3 }, (_, index) =>
      open({ host: `slow${index}.test`, port }).catch((error: unknown) => error),
    );
    await eventually(() => lookups.length === AGENT_LIMITS.tunnelLookupsMax, { what: 'the lookups' });
    await clock.advance(AGENT_LIMITS.tunnelLookupTimeoutMs);
    for (const [index, error] of (await Promise.all(slow)).entries()) {
      const message = expect.stringContaining(`slow${index}.test: no answer to its lookup within 5000 ms`);
      expect(error).toMatchObject({ code: 'target_unreachable', message });
    }
    // The system is still at it: nobody else is looked up before it is done.
    const next = open({ host: 'next.test', port });
    await settle();
    expect(lookups).toEqual(['slow0.test', 'slow1.test']);
    for (const answer of answers.splice(0)) answer();
    await eventually(() => answers.length === 1, { what: 'the next lookup' });
    answers[0]?.();
    expect((await next).metadata).toEqual({ address: HOST, port });
  });
});

/** TCP sockets of this process, connecting ones among them. */
function tcpHandles(): number {
  return process.getActiveResourcesInfo().filter((name) => name.startsWith('TCP')).length;
}
