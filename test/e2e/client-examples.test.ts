import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { TestAgent, TestControlPlane, eventually, listeningPort } from '@drawbridge/testkit';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';

const EXAMPLES = fileURLToPath(new URL('../../examples/', import.meta.url));
const Page = z.object({ showAgents: z.custom<(signal: AbortSignal) => Promise<void>>() });

const parts = new AsyncDisposableStack();
let plane: TestControlPlane;

beforeAll(async () => {
  plane = parts.use(await TestControlPlane.start());
  parts.use(await TestAgent.start({ controlPlane: plane, name: 'build-1' }));
});
afterAll(() => parts.disposeAsync());
afterAll(() => vi.unstubAllGlobals());

describe('examples/run-task.ts', () => {
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, [`${EXAMPLES}run-task.ts`, ...args], {
      env: { DRAWBRIDGE_URL: plane.url, DRAWBRIDGE_TOKEN: plane.token },
    });

  it('prints what the task writes', async () => {
    const { stdout, stderr } = await run('build-1', 'echo hello');
    expect(stdout).toBe('hello\n');
    expect(stderr).toMatch(/^task \S+ succeeded\n$/);
  });

  it("ends with the task's exit code, or with a word why there is no task", async () => {
    await expect(run('build-1', 'exit 3')).rejects.toMatchObject({ code: 3 });
    const stderr = expect.stringMatching(/^agent_not_found: no agent nobody \(request \S+\)\n$/);
    await expect(run('nobody', 'true')).rejects.toMatchObject({ code: 1, stderr });
  });
});

describe('examples/shell-command.ts', () => {
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, [`${EXAMPLES}shell-command.ts`, ...args], {
      env: { DRAWBRIDGE_URL: plane.url, DRAWBRIDGE_TOKEN: plane.token },
    });

  it('prints what the line prints, both streams apart', async () => {
    const { stdout, stderr } = await run('build-1', 'echo out; echo err >&2');
    expect(stdout).toBe('out\n');
    expect(stderr).toContain('err\n');
  });

  it('ends with its exit code, or with a word why it could not run', async () => {
    await expect(run('build-1', 'exit 3')).rejects.toMatchObject({ code: 3 });
    const stderr = expect.stringMatching(/^agent_not_found: no agent nobody/);
    await expect(run('nobody', 'true')).rejects.toMatchObject({ code: 1, stderr });
  });
});

describe('examples/ask-behind.ts', () => {
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, [`${EXAMPLES}ask-behind.ts`, ...args], {
      env: { DRAWBRIDGE_URL: plane.url, DRAWBRIDGE_TOKEN: plane.token },
    });

  it('prints what a server behind the agent answers, twice the same, and leaves no tunnel', async () => {
    const server = createServer((_request, response) => response.end('from behind'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { stdout, stderr } = await run('build-1', '127.0.0.1', String(listeningPort(server)));
    expect(stdout).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nfrom behind$/);
    expect(stderr).toBe(`tunnel connected\n${stdout.length} bytes\ntunnel ended\n`);
    server.close();
    const { body } = await plane.api('GET', '/api/v1/tunnels');
    expect(z.object({ items: z.array(z.object({ kind: z.string() })) }).parse(body).items).not.toContainEqual({
      kind: 'operator',
    });
  });

  it('says why there is none, or no answer', async () => {
    await expect(run('nobody')).rejects.toMatchObject({ code: 1, stderr: 'agent_not_found: no agent nobody\n' });
    await expect(run('build-1', '127.0.0.1', '1')).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('target_unreachable: 127.0.0.1:1'),
    });
  });
});

it('examples/agents-page.js shows machines, and each change of them', async () => {
  const shown = { textContent: '' };
  const cookie = await sessionCookie();
  vi.stubGlobal('location', { origin: plane.url });
  vi.stubGlobal('document', { querySelector: (selector: string) => (selector === '#agents' ? shown : null) });
  // A browser adds the cookie by itself.
  const nodeFetch = fetch;
  vi.stubGlobal('fetch', (url: string, { headers, ...init }: { headers: Record<string, string> }) =>
    nodeFetch(url, { ...init, headers: { ...headers, cookie } }),
  );
  const { showAgents } = Page.parse(await import(pathToFileURL(`${EXAMPLES}agents-page.js`).href));
  const over = new AbortController();
  const showing = showAgents(over.signal).catch((error: unknown) => error);
  await eventually(() => shown.textContent === 'build-1: online', { what: 'the machine' });
  await plane.api('POST', '/api/v1/agents', { name: 'away' });
  await eventually(() => shown.textContent === 'away: offline\nbuild-1: online', { what: 'the new machine' });
  const reason = new Error('the page is closed');
  over.abort(reason);
  expect(await showing).toBe(reason);
});

/** What a browser keeps after it has followed a sign-in link. */
async function sessionCookie(): Promise<string> {
  const { body } = await plane.api('POST', '/api/v1/sign-in-links');
  const code = z.object({ url: z.string() }).parse(body).url.split('#')[1];
  const headers = { 'content-type': 'application/json', origin: plane.url };
  const entered = await fetch(`${plane.url}/api/v1/sign-in`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ code }),
  });
  return entered.headers.getSetCookie()[0]?.split(';')[0] ?? '';
}
