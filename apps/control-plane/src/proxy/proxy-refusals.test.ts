import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { ErrorView } from '@drawbridge/protocol/api';
import { eventually } from '@drawbridge/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { PROXY_LIMITS } from './limits.ts';
import { enter } from '../rights-model-fixture.ts';
import { ProxiedWorld } from './proxied-world-fixture.ts';

describe('who is turned away', () => {
  let world: ProxiedWorld;
  let port: number;
  beforeAll(async () => {
    world = await ProxiedWorld.make();
    port = await world.serve((_request, response) => void response.end('by the service'));
  });
  afterAll(() => world[Symbol.asyncDispose]());

  async function refusal(path: string, wanted: Parameters<ProxiedWorld['ask']>[1] = {}) {
    const { status, body } = await world.ask(path, wanted);
    return { status, ...ErrorView.parse(JSON.parse(body.toString())) };
  }

  it('a browser that has only the cookie, and nobody is dialled', async () => {
    const dials = world.dials;
    const headers = { authorization: [], cookie: `drawbridge=${world.token}` };
    expect(await refusal(world.pathOf(port), { headers })).toMatchObject({
      status: 403,
      code: 'forbidden',
      message: expect.stringContaining('Bearer'),
    });
    expect(world.dials).toBe(dials);
  });

  it('nobody in particular, and whoever comes with a made-up token', async () => {
    expect(await refusal(world.pathOf(port), { headers: { authorization: [] } })).toMatchObject({ status: 401 });
    expect(await refusal(world.pathOf(port), { headers: { authorization: 'Bearer made-up' } })).toMatchObject({
      status: 401,
    });
  });

  it('a viewer, who may see the agent and not open its ports; it is recorded', async () => {
    const token = await enter(world.world, { who: 'a viewer', roles: [['viewer']] });
    expect(await refusal(world.pathOf(port), { headers: { authorization: `Bearer ${token}` } })).toMatchObject({
      status: 403,
      code: 'forbidden',
    });
    const [record] = await world.recorded();
    expect(record).toMatchObject({
      verb: 'tunnel.open',
      result: 'denied',
      agent_id: world.agentId,
      details: { port, via: 'proxy' },
    });
  });

  it('somebody for whom the agent is not there, in the same words as for one that is not', async () => {
    const token = await enter(world.world, { who: 'of prod', roles: [['operator', 'prod']] });
    const headers = { authorization: `Bearer ${token}` };
    const seen = await refusal(world.pathOf(port), { headers });
    const none = await refusal('/sandboxes/nobody/proxy/80/', { headers });
    expect(seen).toMatchObject({ status: 404, code: 'agent_not_found' });
    expect(seen.message.replace(world.agentId, 'nobody')).toBe(none.message);
    expect(none).toMatchObject({ status: 404, code: 'agent_not_found' });
  });

  it('who brings a token of ours in the query', async () => {
    expect(await refusal(world.pathOf(port, `/?x=${world.token}`))).toMatchObject({
      status: 400,
      code: 'credentials_in_url',
    });
  });

  it.each([
    ['/sandboxes/nobody/proxy/80x/', 404, 'not_found'],
    ['/sandboxes/nobody/proxy/65536/', 404, 'not_found'],
    ['/sandboxes/build-1.web/proxy/80/', 501, 'unsupported'],
  ])('who asks for %s', async (path, status, code) => {
    expect(await refusal(path)).toMatchObject({ status, code });
  });

  it('who says "Upgrade: websocket" without a handshake', async () => {
    const headers = { upgrade: 'websocket' };
    expect(await refusal(world.pathOf(port), { headers })).toMatchObject({ status: 400, code: 'protocol_error' });
    expect(
      await refusal(world.pathOf(port), { headers: { ...headers, connection: 'upgrade' }, method: 'POST' }),
    ).toMatchObject({
      status: 400,
      code: 'protocol_error',
    });
  });

  it('whose port the agent’s policy forbids, or nobody listens on', async () => {
    world.refusals.push('forbidden');
    expect(await refusal(world.pathOf(1))).toMatchObject({ status: 403, code: 'forbidden' });
    expect(await refusal(world.pathOf(1))).toMatchObject({ status: 502, code: 'target_unreachable' });
  });

  it('whose agent is away', async () => {
    const agentId = await world.world.addAgent('dev');
    expect(await refusal(`/sandboxes/${agentId}/proxy/80/`, { method: 'POST', body: 'x' })).toMatchObject({
      status: 503,
      code: 'agent_offline',
    });
  });

  it('with one more than one may have under way; the next after them is served', async () => {
    const held: (() => void)[] = [];
    const slow = await world.serve((_request, response) => void held.push(() => response.end()));
    const { exchangesPerActorMax } = PROXY_LIMITS;
    const asked = Array.from({ length: exchangesPerActorMax }, () => world.ask(world.pathOf(slow)));
    await eventually(() => held.length === exchangesPerActorMax, {
      what: 'the service to have them all',
      timeoutMs: 15_000,
    });
    expect(await refusal(world.pathOf(slow))).toMatchObject({ status: 429, code: 'queue_full' });
    for (const release of held) release();
    await Promise.all(asked);
    await eventually(async () => (await world.ask(world.pathOf(port))).status === 200, { what: 'a place' });
  });

  it.each([
    ['both lengths', 'Content-Length: 5\r\nTransfer-Encoding: chunked'],
    ['two lengths', 'Content-Length: 5\r\nContent-Length: 6'],
    ['a list of lengths', 'Content-Length: 5, 5'],
    ['a signed length', 'Content-Length: +5'],
    ['an encoding behind chunks', 'Transfer-Encoding: chunked, gzip'],
    ['an encoding before chunks', 'Transfer-Encoding: gzip, chunked'],
    ['two encodings', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity'],
    ['chunks twice', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked'],
    ['a broken encoding', 'Transfer-Encoding: xchunked'],
    ['a space before the colon', 'Transfer-Encoding : chunked'],
    ['a folded header', 'X-A: 1\r\n Transfer-Encoding: chunked'],
    ['a control character', 'X-A: a\x01b'],
    ['a bare line feed', 'X-A: a\nTransfer-Encoding: chunked'],
    ['a null', 'X-A: a\0b'],
    ['a bare carriage return', 'X-A: a\rb'],
  ])('a request with %s, and nobody is dialled', async (_what, header) => {
    const dials = world.dials;
    const answer = await world.raw(
      `POST ${world.pathOf(port)} HTTP/1.1\r\nHost: 127.0.0.1:${world.port}\r\nAuthorization: Bearer ${world.token}\r\n` +
        `Connection: close\r\n${header}\r\n\r\n0\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).not.toContain('by the service');
    expect(world.dials).toBe(dials);
  });
});

describe('what breaks', () => {
  let world: ProxiedWorld;
  beforeEach(async () => {
    world = await ProxiedWorld.make();
  });
  afterEach(() => world[Symbol.asyncDispose]());

  const settled = () => eventually(() => world.underWay() === 0, { what: 'nothing to be under way' });

  it.each([
    ['', 'hangs up'],
    ['this is no HTTP\r\n\r\n', 'speaks something else'],
    ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n', 'says two lengths'],
    [`HTTP/1.1 200 OK\r\nX-Long: ${'x'.repeat(PROXY_LIMITS.answerHeaderBytesMax)}\r\n\r\n`, 'has headers without end'],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n', 'packs its answer on the way'],
    ['HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n', 'changes the protocol'],
  ])('a service that %j: it %s: 502', async (bytes) => {
    const port = await world.serveTcp((socket) => void socket.resume().once('data', () => socket.end(bytes)));
    const { status, body } = await world.ask(world.pathOf(port));
    expect([status, JSON.parse(body.toString())]).toMatchObject([502, { code: 'target_unreachable' }]);
    await settled();
  });

  it.each([
    ['with a length', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n', 'end'],
    ['in chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n', 'end'],
    ['without a length, which is reset', 'HTTP/1.1 200 OK\r\n\r\nhello', 'reset'],
  ])('an answer %s: the client’s connection breaks too', async (_what, bytes, how) => {
    const port = await world.serveTcp((socket) => {
      socket.resume().once('data', () => {
        socket.write(bytes, () => (how === 'end' ? socket.end() : setImmediate(() => socket.resetAndDestroy())));
      });
    });
    const { response } = await world.begin(world.pathOf(port));
    await expect(text(response)).rejects.toMatchObject({ code: 'ECONNRESET' });
    await settled();
  });

  it('an answer to HTTP/1.0, for which an end would be a whole: the client’s connection is reset', async () => {
    const port = await world.serveTcp((socket) => {
      const bytes = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n';
      socket.resume().once('data', () => socket.end(bytes));
    });
    const head = `GET ${world.pathOf(port)} HTTP/1.0\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${world.token}\r\n\r\n`;
    await expect(world.raw(head)).rejects.toMatchObject({ code: 'ECONNRESET' });
    await settled();
  });

  it.each([
    ['a status text that nobody may write', 'HTTP/1.1 200 a\u0001b\r\nContent-Length: 5\r\n\r\nhello'],
    [
      'hints that would take for ever to check',
      `${hint('<x>;a=b=c=d;a=b=c=d;a=b=c=d;a=b=c=d;a=b=c=d;a=b=c=d;a=b=c=d;a=b=c=d;a=b=c=d;a=b=c=d;a=b=c=d;a=b=c=d"')}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello`,
    ],
  ])('nothing by %s: the answer comes', async (_what, bytes) => {
    const port = await world.serveTcp((socket) => void socket.resume().once('data', () => socket.end(bytes)));
    const { status, body } = await world.ask(world.pathOf(port));
    expect([status, String(body)]).toEqual([200, 'hello']);
  });

  it('no flood of hints: a few are passed on', async () => {
    const flood = hint('</a>').repeat(1000);
    const port = await world.serveTcp((socket) => {
      socket.resume().once('data', () => socket.end(`${flood}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello`));
    });
    const head = `GET ${world.pathOf(port)} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer ${world.token}\r\n\r\n`;
    const answer = await world.raw(head);
    expect(answer.split('HTTP/1.1 103').length - 1).toBe(PROXY_LIMITS.interimAnswersMax);
    expect(answer).toContain('\r\n\r\nhello');
  });

  it('the tunnel, in the middle of an answer', async () => {
    const port = await world.serve((_request, response) => void response.write('hello'));
    const { response } = await world.begin(world.pathOf(port));
    await once(response, 'data');
    world.cutTunnel();
    await expect(once(response, 'end')).rejects.toMatchObject({ code: 'ECONNRESET' });
    await settled();
  });

  it('the patience with a service that does not answer: 504', async () => {
    const asked = Promise.withResolvers<void>();
    const port = await world.serve(() => asked.resolve());
    const answer = world.ask(world.pathOf(port));
    await asked.promise;
    await world.clock.advance(PROXY_LIMITS.answerTimeoutMs);
    const { status, body } = await answer;
    expect([status, JSON.parse(body.toString())]).toMatchObject([504, { code: 'timed_out' }]);
    await settled();
  });

  it('the patience with an answer in which nothing moves', async () => {
    const port = await world.serve((_request, response) => void response.write('hello'));
    const { response } = await world.begin(world.pathOf(port));
    await once(response, 'data');
    const cut = once(response, 'error');
    await world.clock.advance(PROXY_LIMITS.stalledMs);
    expect(await cut).toMatchObject([{ code: 'ECONNRESET' }]);
    await settled();
  });

  it('the client, and its service hears of it', async () => {
    const heard = Promise.withResolvers<void>();
    const port = await world.serve((request, response) => {
      request.once('close', () => heard.resolve());
      response.write('hello');
    });
    const { response, outgoing } = await world.begin(world.pathOf(port));
    await once(response, 'data');
    outgoing.destroy();
    await heard.promise;
    await settled();
  });

  it('the client before there is an answer, in the middle of its question', async () => {
    const heard = Promise.withResolvers<void>();
    const port = await world.serve((request) => {
      request.resume().once('error', () => heard.resolve());
    });
    const outgoing = world.request(world.pathOf(port), { method: 'POST' });
    outgoing.on('error', () => undefined).write('hello');
    await eventually(() => world.dials > 0, { what: 'the service to be dialled' });
    outgoing.destroy();
    await heard.promise;
    await settled();
  });

  it('the right to the agent, in the middle of an answer and before it', async () => {
    const secret = await enter(world.world, { who: 'an operator of dev', roles: [['operator', 'dev']], token: {} });
    const port = await world.serve((request, response) => {
      if (request.url === '/answers') response.write('hello');
    });
    const headers = { authorization: `Bearer ${secret}` };
    const { response } = await world.begin(world.pathOf(port, '/answers'), { headers });
    await once(response, 'data');
    const cut = once(response, 'error');
    const waiting = world.ask(world.pathOf(port, '/waits'), { headers });
    await eventually(() => world.underWay() === 2, { what: 'both to be under way' });
    const { agents } = world.world.nouns;
    await agents.update(await agents.find(world.agentId), { name: 'moved', labels: { env: 'prod' } });
    expect(await cut).toMatchObject([{ code: 'ECONNRESET' }]);
    expect((await waiting).status).toBe(404);
    await settled();
  });
});

/** For tests: an interim answer. */
function hint(link: string): string {
  return `HTTP/1.1 103 Early Hints\r\nLink: ${link}\r\n\r\n`;
}
