import { afterEach, beforeEach, expect, it } from 'vitest';
import { ControlPlaneFixture } from '../control-plane-fixture.ts';
import { MIGRATIONS } from '../store/migrations/index.ts';
import { checkReadiness } from './readiness.ts';

let control: ControlPlaneFixture;
beforeEach(async () => (control = await ControlPlaneFixture.make()));
afterEach(() => control[Symbol.asyncDispose]());

function check(more: Partial<Parameters<typeof checkReadiness>[0]> = {}) {
  const { clock, parts } = control;
  return checkReadiness({ db: parts.db, migrations: MIGRATIONS, clock, isDraining: () => false, ...more });
}

it('is ready when the store answers, its schema is whole, and nothing drains', async () => {
  expect(await check()).toEqual({ isReady: true, checks: { store: 'ok', migrations: 'ok', draining: false } });
});

it('is not ready while it drains', async () => {
  expect(await check({ isDraining: () => true })).toMatchObject({ isReady: false, checks: { draining: true } });
});

it('is not ready when the schema lacks a migration', async () => {
  const later = { name: '9999-later', up: async () => undefined };
  expect(await check({ migrations: [...MIGRATIONS, later] })).toMatchObject({
    isReady: false,
    checks: { store: 'ok', migrations: 'pending' },
  });
});

it('is not ready, and says no more, when the store is gone', async () => {
  await control.parts.store.close();
  const checks = { store: 'failed', migrations: 'unknown', draining: false };
  expect(await check()).toEqual({ isReady: false, checks });
});

it('does not wait for a store that never answers', async () => {
  const { clock } = control;
  const stuck = new Proxy(control.parts.db, {
    get: (db, key) =>
      key === 'getExecutor'
        ? () => ({
            executeQuery: () => new Promise(() => undefined),
            compileQuery: () => ({}),
            transformQuery: (node: unknown) => node,
          })
        : Reflect.get(db, key),
  });
  const answer = check({ db: stuck });
  await clock.advance(2_000);
  expect(await answer).toMatchObject({ isReady: false, checks: { store: 'failed' } });
});
