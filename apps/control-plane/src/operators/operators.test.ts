import { writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ADMIN, ControlPlaneFixture } from '../control-plane-fixture.ts';
import { SYSTEM, actorText } from './actor.ts';
import { ApiTokens } from './api-tokens.ts';
import { authorise } from './authorise.ts';
import { SESSION_MS, SignIn } from './sign-in.ts';

let control: ControlPlaneFixture;
let tokens: ApiTokens;
let signIn: SignIn;
beforeEach(async () => {
  control = await ControlPlaneFixture.make();
  tokens = new ApiTokens(control.parts.db, control.clock);
  signIn = new SignIn(control.parts.db, control.clock);
});
afterEach(() => control[Symbol.asyncDispose]());

it('knows an API token again, of which it stored a hash only', async () => {
  const token = await tokens.issue('ci');
  expect(await tokens.verify(token)).toMatchObject({ kind: 'token' });
  const rows = await control.parts.db.selectFrom('api_tokens').selectAll().execute();
  expect(JSON.stringify(rows)).not.toContain(token.slice(4));
});

it.each(['', 'dbt_', `dbt_${'a'.repeat(43)}`, `dbt_${'a'.repeat(600)}`, "dbt_' OR 1=1 --"])(
  'knows no token %j',
  async (token) => {
    await tokens.issue('ci');
    expect(await tokens.verify(token)).toBeUndefined();
  },
);

it('knows an API token no longer than it lives', async () => {
  const token = await tokens.issue('ci');
  const expires_at = new Date(control.clock.now() + 1_000).toISOString();
  await control.parts.db.updateTable('api_tokens').set({ expires_at }).execute();
  await control.clock.advance(999);
  expect(await tokens.verify(token)).toBeDefined();
  await control.clock.advance(1);
  expect(await tokens.verify(token)).toBeUndefined();
});

it('takes the bootstrap token on the very first start, and never again', async () => {
  const file = control.dir.join('token');
  const [first, second] = [`dbt_${'1'.repeat(32)}`, `dbt_${'2'.repeat(32)}`];
  await writeFile(file, `${first}\n`);
  expect(await tokens.bootstrap(file)).toBe(true);
  await writeFile(file, second);
  expect(await tokens.bootstrap(file)).toBe(false);
  expect(await tokens.verify(first)).toBeDefined();
  expect(await tokens.verify(second)).toBeUndefined();
});

it('refuses a bootstrap token that is easy to guess, without showing it', async () => {
  const file = control.dir.join('token');
  await writeFile(file, 'dbt_hunter2');
  const error: unknown = await tokens.bootstrap(file).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'invalid_request' });
  expect(String(error)).not.toContain('hunter2');
});

it('opens one session with a code, once', async () => {
  const code = signIn.issueCode();
  const session = (await signIn.redeem(code)) ?? '';
  expect(await signIn.verify(session)).toMatchObject({ kind: 'session' });
  expect(await signIn.redeem(code)).toBeUndefined();
  expect(await signIn.redeem('made up')).toBeUndefined();
});

it('lets a code lapse after an hour, and a session after a week', async () => {
  const late = signIn.issueCode();
  const session = (await signIn.redeem(signIn.issueCode())) ?? '';
  await control.clock.advance(60 * 60_000);
  expect(await signIn.redeem(late)).toBeUndefined();
  await control.clock.advance(SESSION_MS - 60 * 60_000 - 1);
  expect(await signIn.verify(session)).toBeDefined();
  await control.clock.advance(1);
  expect(await signIn.verify(session)).toBeUndefined();
});

it('keeps sixteen codes at most: the oldest gives way', async () => {
  const codes = Array.from({ length: 17 }, () => signIn.issueCode());
  expect(await signIn.redeem(codes[0] ?? '')).toBeUndefined();
  expect(await signIn.redeem(codes[1] ?? '')).toBeDefined();
});

it('ends a session, which a restart does not', async () => {
  const session = (await signIn.redeem(signIn.issueCode())) ?? '';
  await control.restart();
  signIn = new SignIn(control.parts.db, control.clock);
  expect(await signIn.verify(session)).toBeDefined();
  await signIn.signOut(session);
  expect(await signIn.verify(session)).toBeUndefined();
});

it('authorises an admin for everything, and the system for tunnels alone', () => {
  expect(() => authorise(ADMIN, 'admin.agents', {})).not.toThrow();
  expect(() => authorise(SYSTEM, 'tunnel.open', { agentId: 'a' })).not.toThrow();
  expect(() => authorise(SYSTEM, 'task.run', { agentId: 'a' })).toThrow(expect.objectContaining({ code: 'forbidden' }));
  expect(actorText(SYSTEM)).toBe('system:system');
});
