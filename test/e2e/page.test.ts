import { TempDir, TestControlPlane, TestProcess, drawbridge, requires } from '@drawbridge/testkit';
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

const PASSWORD = 'correct horse battery';
const READY_TIMEOUT_MS = 30_000;

/** Chromium as Debian has it; it asks nobody outside for anything. */
const LAUNCH = {
  executablePath: '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
} as const;

describe.runIf(requires('chromium'))('the built-in page', () => {
  let browser: Browser;
  let page: Page;
  let problems: string[];
  beforeAll(async () => {
    browser = await chromium.launch({ ...LAUNCH, args: [...LAUNCH.args] });
  });
  afterAll(() => browser.close());
  beforeEach(async () => {
    page = await (await browser.newContext()).newPage();
    problems = [];
    page.on('pageerror', (error) => problems.push(error.message));
  });
  afterEach(async () => {
    await page.context().close();
    expect(problems).toEqual([]);
  });

  /** A control plane that nobody has signed in to, and the link it prints for the first admin. */
  async function startEmpty(data: TempDir) {
    const server = await TestProcess.start(drawbridge(['server', '--data', data.join('server'), '--port', '0'], {}));
    const find = (line: string) => /^first admin (\S+)$/.exec(line)?.[1];
    const look = () => server.stdout.lines.map(find).find((link) => link !== undefined);
    const link = await server.waitFor(look, { what: "the first admin's link", timeoutMs: READY_TIMEOUT_MS });
    return { server, link: new URL(link) };
  }

  it("makes the first admin by the first start's link, once, and signs in by password from then on", async () => {
    await using data = await TempDir.make();
    const { server, link } = await startEmpty(data);
    await using _server = server;
    await page.goto(link.href);
    await page.fill('#first-admin input[name=password]', PASSWORD);
    await page.click('#first-admin button');
    await page.waitForSelector('#lists:not([hidden])');
    expect(new URL(page.url()).hash, 'the code is gone from the address').toBe('');
    expect(await page.textContent('#who')).toBe('admin');

    await page.click('#sign-out');
    await page.waitForSelector('#sign-in:not([hidden])');
    await page.fill('#sign-in input[name=user]', 'admin');
    await page.fill('#sign-in input[name=password]', 'a wrong password');
    await page.click('#sign-in button');
    await page.waitForSelector('#sign-in .problem:has-text("not right")');
    await page.fill('#sign-in input[name=password]', PASSWORD);
    await page.click('#sign-in button');
    await page.waitForSelector('#lists:not([hidden])');

    await page.goto(link.href);
    await page.waitForSelector('#status:has-text("used before")');
  });

  it('lets a command line in for who compares its code and says yes', async () => {
    await using controlPlane = await TestControlPlane.start();
    const { body } = await controlPlane.api('POST', '/api/v1/sign-in-links');
    await page.goto((body as { url: string }).url);
    await page.waitForSelector('#password:not([hidden])');
    const asked = await controlPlane.api('POST', '/api/v1/login-requests', { label: '<b>ann</b>@laptop' });
    const request = asked.body as { id: string; user_code: string; verification_url: string; poll_secret: string };
    const poll = () =>
      controlPlane.api('POST', `/api/v1/login-requests/${request.id}/token`, { poll_secret: request.poll_secret });
    expect((await poll()).status).toBe(202);
    await page.goto(request.verification_url);
    await page.waitForSelector('#login:not([hidden])');
    expect(await page.textContent('#login-code')).toBe(request.user_code);
    expect(await page.textContent('#login-label'), 'as text, whatever it says').toBe('<b>ann</b>@laptop');
    await page.click('#login button[value=approve]');
    await page.waitForSelector('#status:has-text("signed in")');
    expect(await poll()).toMatchObject({ status: 201, body: { token: expect.stringMatching(/^dbs_/) } });
  });

  it('shows the API to people, and asks nobody else for anything', async () => {
    await using controlPlane = await TestControlPlane.start();
    const hosts = new Set<string>();
    page.on('request', (request) => hosts.add(new URL(request.url()).host));
    await page.goto(new URL('/docs', controlPlane.url).href);
    expect(await page.title()).toBe('Drawbridge API');
    await page.click('#postTasks > summary');
    expect(await page.textContent('#postTasks')).toContain('task.run');
    expect([...hosts]).toEqual([new URL(controlPlane.url).host]);
  });
});
