import { writeFile } from 'node:fs/promises';
import { TempDir, TestControlPlane } from '@drawbridge/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ask, knock } from './edge-requests.ts';
import { enrolRaw, enrolRequest, joinToken } from './raw-agent.ts';

const FOREIGN = 'https://evil.example';

async function start(config: Record<string, unknown> = {}): Promise<TestControlPlane> {
  const dir = await TempDir.make('drawbridge-edges-');
  const file = dir.join('drawbridge.yaml');
  await writeFile(file, JSON.stringify(config));
  const plane = await TestControlPlane.start({ args: ['--config', file] });
  await dir[Symbol.asyncDispose]();
  return plane;
}

/** The cookie of a browser that was signed in by a link. */
async function cookieOf(plane: TestControlPlane): Promise<string> {
  const { body } = await plane.api('POST', '/api/v1/sign-in-links', {});
  const code = new URL(z.object({ url: z.string() }).parse(body).url).hash.slice(1);
  const signedIn = await ask(plane, { method: 'POST', path: '/api/v1/sign-in', body: { code } });
  return signedIn.headers['set-cookie']?.[0]?.split(';', 1)[0] ?? '';
}

describe('a request from elsewhere', () => {
  let plane: TestControlPlane;
  let cookie: string;
  let bearer: { authorization: string };
  let agentId: string;
  beforeAll(async () => {
    plane = await start();
    cookie = await cookieOf(plane);
    bearer = { authorization: `Bearer ${plane.token}` };
    ({ agentId } = await enrolRaw(plane, 'edge-1'));
  });
  afterAll(() => plane[Symbol.asyncDispose]());

  const change = (headers: Record<string, string>) =>
    ask(plane, { method: 'POST', path: '/api/v1/join-tokens', headers, body: {} });
  const read = (headers: Record<string, string>) => ask(plane, { path: '/api/v1/agents', headers });

  it.each<[what: string, headers: () => Record<string, string>, status: number]>([
    ['a cookie from a page of ours', () => ({ cookie, origin: plane.url }), 201],
    ['a cookie from a foreign page', () => ({ cookie, origin: FOREIGN }), 403],
    ['a cookie from a page without an origin', () => ({ cookie, origin: 'null' }), 403],
    ['a cookie and no Origin', () => ({ cookie }), 403],
    ['a bearer and no Origin', () => bearer, 201],
    ['a bearer from a foreign page', () => ({ ...bearer, origin: FOREIGN }), 201],
    ['a bearer, a cookie and a foreign Origin', () => ({ ...bearer, cookie, origin: FOREIGN }), 201],
    ['nothing', () => ({}), 401],
  ])('that changes something, with %s', async (_what, headers, status) => {
    expect((await change(headers())).status).toBe(status);
  });

  it('cannot even sign somebody in', async () => {
    const headers = { origin: FOREIGN };
    const answer = await ask(plane, { method: 'POST', path: '/api/v1/sign-in', headers, body: { code: 'x' } });
    expect(answer.status).toBe(403);
  });

  it('reads nothing with a cookie when another site began it', async () => {
    expect((await read({ cookie })).status).toBe(200);
    expect((await read({ cookie, 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    expect((await read({ ...bearer, 'sec-fetch-site': 'cross-site' })).status).toBe(200);
  });

  it('under a name that was made to point here is refused and told which setting decides, but with a good bearer', async () => {
    for (const headers of [{ cookie }, { authorization: 'Bearer dbt_guessed' }, {}]) {
      const answer = await read({ ...headers, host: 'evil.example:7400' });
      expect(answer).toMatchObject({ status: 403 });
      expect(JSON.parse(answer.body)).toMatchObject({
        code: 'forbidden',
        message: 'this server is not called evil.example: add that name to listen.allowed_hosts',
      });
    }
    expect((await read({ ...bearer, host: 'evil.example:7400' })).status).toBe(200);
    const signIn = { method: 'POST', path: '/api/v1/sign-in', body: { code: 'x' } } as const;
    const open = await ask(plane, { ...signIn, headers: { ...bearer, host: 'evil.example' } });
    expect(open.status, 'what is open to everybody needs our name').toBe(403);
    expect((await read({ ...bearer, 'x-forwarded-host': 'evil.example' })).status, 'a claim of nobody').toBe(200);
  });

  it('of a load balancer is told by any name that the server is up', async () => {
    for (const path of ['/healthz', '/readyz']) {
      expect((await ask(plane, { path, headers: { host: '192.0.2.1' } })).status).toBe(200);
    }
    expect((await ask(plane, { path: '/metrics', headers: { host: 'evil.example' } })).status).toBe(403);
  });

  it('opens an agent’s socket from no page, be it ours', async () => {
    expect((await knock(plane, agentId)).status).toBe(101);
    for (const origin of [FOREIGN, plane.url, 'null']) {
      const answer = await knock(plane, agentId, { headers: { origin, cookie } });
      expect([answer.status, answer.body]).toEqual([
        403,
        expect.stringContaining('no web page may connect as an agent'),
      ]);
    }
  });

  it('opens an agent’s socket under no foreign name', async () => {
    const answer = await knock(plane, agentId, { headers: { host: 'evil.example' } });
    expect([answer.status, answer.body]).toEqual([403, expect.stringContaining('listen.allowed_hosts')]);
  });

  it('opens an agent’s socket for the right bearer, whatever it says of where it comes from', async () => {
    const made = await ask(plane, {
      method: 'POST',
      path: '/api/v1/agents',
      headers: bearer,
      body: { name: 'edge-key' },
    });
    const { agent_id: keyed, auth_token: key } = JSON.parse(made.body) as { agent_id: string; auth_token: string };
    const from = { origin: FOREIGN, host: 'evil.example' };
    expect((await knock(plane, keyed, { headers: { ...from, authorization: `Bearer ${key}` } })).status).toBe(101);
    expect((await knock(plane, keyed, { headers: { ...from, authorization: 'Bearer dbk_guessed' } })).status).toBe(401);
  });

  it('may not carry a credential in its URL, and nobody writes that down', async () => {
    const secret = 'hunter2-in-a-url';
    const answers = [
      await ask(plane, { path: `/api/v1/agents?token=${secret}`, headers: bearer }),
      await ask(plane, { path: `/healthz?x=1&Access-Token=${secret}` }),
      await knock(plane, agentId, { query: `?api_key=${secret}` }),
    ];
    for (const { status, body } of answers) {
      expect(status).toBe(400);
      expect(JSON.parse(body)).toMatchObject({ code: 'credentials_in_url' });
      expect(body).not.toContain(secret);
    }
    expect(JSON.stringify(plane.logs)).not.toContain(secret);
  });

  it('finds every header of security on every answer, and no word about the program', async () => {
    const answers = [
      await read(bearer),
      await read({}),
      await ask(plane, { path: '/nowhere' }),
      await ask(plane, { path: '/' }),
    ];
    for (const { headers } of answers) {
      expect(headers).toMatchObject({
        'content-security-policy': expect.stringContaining("frame-ancestors 'none'"),
        'referrer-policy': 'no-referrer',
        'x-content-type-options': 'nosniff',
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-resource-policy': 'same-origin',
        'cache-control': 'no-store',
      });
      expect(headers).not.toHaveProperty('server');
      expect(headers).not.toHaveProperty('x-powered-by');
    }
  });
});

describe('what a configuration lets in', () => {
  it('is the names it lists', async () => {
    await using plane = await start({ listen: { allowed_hosts: ['control.example'] } });
    const under = async (host: string) => (await ask(plane, { path: '/sign-in', headers: { host } })).status;
    expect(await under('control.example:443')).toBe(200);
    expect(await under('other.example')).toBe(403);
    expect(await under('localhost')).toBe(200);
  });

  it('is the addresses agents may come from, to connect and to enrol', async () => {
    await using plane = await start({
      listen: { trusted_proxies: ['127.0.0.1'] },
      agents: { ip_allowlist: ['192.0.2.0/24'] },
    });
    const enrol = (from: string) =>
      ask(plane, {
        method: 'POST',
        path: '/api/v1/enroll',
        headers: { 'x-forwarded-for': from },
        body: { token: 'dbj_x.y.z', public_key: 'A'.repeat(43), proof: 'x', name: 'edge-2' },
      });
    const dial = (from: string) =>
      knock(plane, 'a0000000-0000-4000-8000-000000000000', { headers: { 'x-forwarded-for': from } });
    expect((await enrol('198.51.100.1')).body).toContain('no agent may come from this address');
    expect((await enrol('192.0.2.7')).status, 'its token is no good').toBe(401);
    expect((await dial('198.51.100.1')).status).toBe(403);
    expect((await dial('192.0.2.7')).status, 'no such agent').toBe(401);
  });

  it('is so many attempts of one address, and of one network of IPv6, a minute', async () => {
    await using plane = await start({
      listen: { trusted_proxies: ['127.0.0.1'] },
      limits: { auth_attempts_per_minute: 3 },
    });
    const signIn = (from: string) =>
      ask(plane, {
        method: 'POST',
        path: '/api/v1/sign-in',
        headers: { 'x-forwarded-for': from },
        body: { code: 'made up' },
      });
    for (const from of ['2001:db8::1', '2001:db8::2', '2001:db8::3']) expect((await signIn(from)).status).toBe(401);
    const refused = await signIn('2001:db8::4');
    expect(refused).toMatchObject({ status: 429, headers: { 'retry-after': expect.stringMatching(/^(1?\d|20)$/) } });
    expect(JSON.parse(refused.body)).toMatchObject({ code: 'rate_limited' });
    expect((await signIn('2001:db8:0:1::1')).status).toBe(401);
  });

  it('is so many refused connections of one agent, and its neighbours do not pay for it', async () => {
    await using plane = await start({ limits: { auth_attempts_per_minute: 2 } });
    const { agentId } = await enrolRaw(plane, 'edge-3');
    const wrong = () => knock(plane, 'a0000000-0000-4000-8000-000000000000');
    expect([(await wrong()).status, (await wrong()).status]).toEqual([401, 401]);
    const refused = await wrong();
    expect([refused.status, refused.headers['retry-after']]).toEqual([429, expect.stringMatching(/^\d+$/)]);
    for (let time = 0; time < 4; time += 1) expect((await knock(plane, agentId)).status).toBe(101);
  });

  it('is so many requests of one token a minute', async () => {
    await using plane = await start({ limits: { requests_per_minute: 3 } });
    const statuses: number[] = [];
    for (let time = 0; time < 4; time += 1) statuses.push((await plane.api('GET', '/api/v1/agents')).status);
    expect(statuses).toEqual([200, 200, 200, 429]);
  });

  it('is so many agents of one machine, whatever they are called', async () => {
    await using plane = await start({ agents: { max_agents_per_host: 1 }, listen: { trusted_proxies: ['127.0.0.1'] } });
    const enrol = async (name: string, machine_id: string | undefined, from: string) => {
      const { token } = await joinToken(plane);
      const { body } = enrolRequest(token, name);
      const machine = machine_id === undefined ? {} : { machine_id };
      const answer = await plane.api('POST', '/api/v1/enroll', { ...body, ...machine }, { 'x-forwarded-for': from });
      return [answer.status, z.object({ code: z.string() }).safeParse(answer.body).data?.code];
    };
    const [one, another] = ['1'.repeat(43), '2'.repeat(43)];
    expect(await enrol('edge-4', one, '192.0.2.1')).toEqual([201, undefined]);
    expect(await enrol('edge-5', one, '192.0.2.2')).toEqual([409, 'host_limit']);
    expect(await enrol('edge-6', another, '192.0.2.1')).toEqual([201, undefined]);
    expect(await enrol('edge-7', undefined, '192.0.2.1'), 'by its address').toEqual([201, undefined]);
    expect(await enrol('edge-8', undefined, '192.0.2.1')).toEqual([409, 'host_limit']);
  });
});
