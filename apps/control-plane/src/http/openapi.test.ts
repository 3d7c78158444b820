import { validate } from '@apidevtools/swagger-parser';
import { z } from 'zod';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { RightsWorld } from '../rights-world-fixture.ts';
import { docsPage } from './docs-page.ts';

const Operation = z.object({
  operationId: z.string(),
  summary: z.string().optional(),
  responses: z.record(z.string(), z.object({ content: z.record(z.string(), z.unknown()).optional() })),
});
const Document = z.object({ openapi: z.string(), paths: z.record(z.string(), z.record(z.string(), Operation)) });

/** What people look at, and what describes itself. */
const NOT_DESCRIBED = new Set(['/', '/docs', '/openapi.json', '/sign-in', '/login']);

let world: RightsWorld;
let raw: string;
let operations: (z.infer<typeof Operation> & { readonly name: string })[];

beforeAll(async () => {
  world = await RightsWorld.make();
  raw = (await world.app.inject({ url: '/openapi.json', headers: { host: '127.0.0.1:7400' } })).body;
  operations = Object.entries(Document.parse(JSON.parse(raw)).paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ ...operation, name: `${method.toUpperCase()} ${path}` })),
  );
});

afterAll(() => world[Symbol.asyncDispose]());

it('is a valid document of OpenAPI 3.1', async () => {
  const document = await validate(JSON.parse(raw));
  expect(document).toMatchObject({ openapi: expect.stringMatching(/^3\.1\./) });
});

it('describes every route of the API, and none that is not there', () => {
  const isDescribed = (path: string) =>
    !NOT_DESCRIBED.has(path) && !path.startsWith('/page') && !path.includes('/proxy/');
  const registered = world.routes
    .filter(({ method, path }) => method !== 'HEAD' && isDescribed(path))
    .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`);
  expect(operations.map(({ name }) => name).toSorted()).toEqual(registered.toSorted());
});

it('names every operation once', () => {
  const ids = operations.map(({ operationId }) => operationId);
  expect(new Set(ids).size).toBe(ids.length);
});

it('says in a line what every operation is for', () => {
  expect(operations.filter(({ summary = '' }) => summary === '').map(({ name }) => name)).toEqual([]);
});

it('says what every success looks like, whether it is JSON or not', () => {
  const silent = operations.filter(({ responses }) => {
    const successes = Object.entries(responses).filter(([status]) => status.startsWith('2') && status !== '204');
    return !('204' in responses) && !(successes.length > 0 && successes.every(([, { content }]) => content));
  });
  expect(silent.map(({ name }) => name)).toEqual([]);
});

it('is a page for people too, with every operation on it', () => {
  const page = docsPage(JSON.parse(raw));
  expect(operations.filter(({ operationId }) => !page.includes(`id="${operationId}"`))).toEqual([]);
});
