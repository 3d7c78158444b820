import { writeFile } from 'node:fs/promises';
import { eventually, runCli, TempDir, TestControlPlane } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { enrolRequest, joinToken } from './raw-agent.ts';

const JoinTokens = z.object({ items: z.array(z.object({ id: z.string(), uses_left: z.number() })) });
const Agents = z.object({ items: z.array(z.object({ name: z.string() })) });
const Refusal = z.object({ code: z.string(), message: z.string() });
const INVALID = { code: 'join_token_invalid', message: 'the join token is unknown, used up, revoked or expired' };

it('enrols exactly one of a hundred machines that come with one token at the same time', async () => {
  await using dir = await TempDir.make();
  // Each from an address of its own: no limit on attempts decides the race.
  const config = dir.join('server.yaml');
  await writeFile(config, JSON.stringify({ listen: { trusted_proxies: ['127.0.0.1'] } }));
  await using plane = await TestControlPlane.start({ args: ['--config', config] });
  const { id, token } = await joinToken(plane);
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, index) => {
      const { body } = enrolRequest(token, `machine-${index}`);
      return plane.api('POST', '/api/v1/enroll', body, { 'x-forwarded-for': `10.0.0.${index}` });
    }),
  );
  const refused = answers.filter(({ status }) => status !== 201);
  expect(refused).toHaveLength(99);
  for (const { status, body } of refused) expect({ status, body }).toMatchObject({ status: 401, body: INVALID });
  expect(Agents.parse((await plane.api('GET', '/api/v1/agents')).body).items).toHaveLength(1);
  expect(await usesLeft(plane, id)).toBe(0);
});

it('says the same of every token that does not count', async () => {
  await using plane = await TestControlPlane.start();
  const [used, expired, revoked, fresh] = [
    await joinToken(plane),
    await joinToken(plane, { ttl_seconds: 1 }),
    await joinToken(plane),
    await joinToken(plane),
  ];
  expect((await plane.api('POST', '/api/v1/enroll', enrolRequest(used.token, 'first').body)).status).toBe(201);
  expect((await plane.api('DELETE', `/api/v1/join-tokens/${revoked.id}`)).status).toBe(204);
  await eventually(() => Date.now() > Date.parse(expired.expires_at), { what: 'a token to expire' });
  const [freshId = '', secret = '', key = ''] = fresh.token.split('.');
  const tokens = {
    used: used.token,
    revoked: revoked.token,
    unknown: `dbj_00000000-0000-7000-8000-000000000000.${secret}.${key}`,
    guessed: `${freshId}.${'A'.repeat(43)}.${key}`,
    empty: '',
    garbage: 'dbj_garbage',
    sql: `dbj_' OR '1'='1.${secret}.${key}`,
    expired: expired.token,
  };
  for (const [what, token] of Object.entries(tokens)) {
    const { status, body } = await plane.api('POST', '/api/v1/enroll', enrolRequest(token, 'second').body);
    expect({ what, status, ...Refusal.parse(body) }).toEqual({ what, status: 401, ...INVALID });
  }
  expect(await usesLeft(plane, fresh.id), 'a guess costs no use').toBe(1);
  await using dir = await TempDir.make();
  const args = ['agent', 'enroll', plane.url, '--name', 'second', '--data', dir.path, '--token', used.token];
  const { code, stdout, stderr } = await runCli(args);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toContain(INVALID.message);
  expect(stderr).not.toContain(used.token.split('.')[1]);
});

it('keeps the use of a token when the name is taken or the proof is wrong', async () => {
  await using plane = await TestControlPlane.start();
  const { id, token } = await joinToken(plane, { uses: 2 });
  const enrol = (name: string, change: object = {}) =>
    plane.api('POST', '/api/v1/enroll', { ...enrolRequest(token, name).body, ...change });
  expect((await enrol('taken')).status).toBe(201);
  expect(await enrol('taken')).toMatchObject({ status: 409, body: { code: 'agent_name_taken' } });
  const stranger = enrolRequest(token, 'other').body;
  expect(await enrol('other', { proof: stranger.proof })).toMatchObject({ status: 401, body: { code: 'auth_failed' } });
  for (const name of ['', 'Upper', 'two--dashes', 'a'.repeat(41), 'revoked--x', 'a b', '../x']) {
    expect({ name, status: (await enrol(name)).status }).toEqual({ name, status: 422 });
  }
  expect(await usesLeft(plane, id)).toBe(1);
  expect((await enrol('free')).status).toBe(201);
});

async function usesLeft(plane: TestControlPlane, id: string): Promise<number | undefined> {
  const { items } = JoinTokens.parse((await plane.api('GET', '/api/v1/join-tokens')).body);
  return items.find((item) => item.id === id)?.uses_left;
}
