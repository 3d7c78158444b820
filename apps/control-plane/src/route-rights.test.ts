import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ASKERS, enter } from './rights-model-fixture.ts';
import { PUBLIC_ROUTES, rightsPage } from './rights-page-fixture.ts';
import { SAMPLES, ask, makeThings } from './rights-samples-fixture.ts';
import type { Things } from './rights-samples-fixture.ts';
import { RightsWorld } from './rights-world-fixture.ts';

const PAGE = new URL('../../../docs/rights.md', import.meta.url);
const world = await RightsWorld.make();
afterAll(() => world[Symbol.asyncDispose]());

const keyOf = ({ method, path }: { method: string; path: string }) => `${method === 'HEAD' ? 'GET' : method} ${path}`;
const closed = world.routes.filter(({ isPublic, path }) => !isPublic || path === '/metrics');

describe('every route', () => {
  it('is found', () => {
    expect(world.routes.length).toBeGreaterThan(80);
  });

  it('names its verb, or is public', () => {
    expect(world.routes.filter(({ isPublic, verb }) => isPublic === (verb !== undefined)).map(keyOf)).toEqual([]);
  });

  it('that is public is public for a reason that is written down, and no reason is about nothing', () => {
    const open = world.routes.filter(({ isPublic }) => isPublic).map(keyOf);
    expect([...new Set(open)].toSorted()).toEqual(Object.keys(PUBLIC_ROUTES).toSorted());
  });

  it('that is not public is asked by these tests, and they ask no other', () => {
    expect([...new Set(closed.map(keyOf))].toSorted()).toEqual(Object.keys(SAMPLES).toSorted());
  });
});

describe('docs/rights.md', () => {
  it('is what the routes say; DRAWBRIDGE_UPDATE_DOCS=1 with this test writes it', async () => {
    const page = rightsPage(world.routes);
    if (process.env['DRAWBRIDGE_UPDATE_DOCS'] === '1') await writeFile(PAGE, page);
    expect(await readFile(PAGE, 'utf8')).toBe(page);
  });
});

describe('to somebody who is signed in and has no right at all, and to nobody', () => {
  let secret: string;
  /** Shared: nobody changes them here. */
  let things: Things;
  beforeAll(async () => {
    things = await makeThings(world, 'dev');
    const stranger = ASKERS.find(({ who }) => who === 'a token without any right');
    secret = await enter(world, stranger ?? { who: '', roles: [] });
  });

  it.each(closed)('$method $path tells nothing and does nothing', async (route) => {
    const sample = SAMPLES[keyOf(route)];
    if (sample === undefined) throw new Error(`${keyOf(route)} has no sample`);
    const request = await sample.request(things, world, 'dev');
    const method = route.method as 'GET';
    const { status } = await ask(world, method, request, { secret, things });
    expect([403, 404]).toContain(status);
    expect((await ask(world, method, request, { secret: 'made up', things })).status).toBe(401);
  });
});
