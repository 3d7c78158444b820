import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { scaled, TestControlPlane, TestProcess } from '@drawbridge/testkit';
import { BenchDatabase, enginesHere, type Engine } from './load/bench-database.ts';
import { mapBounded } from './load/bounded.ts';
import { loadOverHttp, type HttpCourse, type HttpRequest } from './load/http-load.ts';
import { writeServerConfig } from './load/server-config.ts';
import { report } from './measure/report.ts';

const AGENTS = 5_000;
const CONNECTIONS = 16;
const SECONDS = 15;
const MADE_AT_ONCE = 16;
/** The page a caller gets who names no limit. */
const PAGE_LIMIT = 50;
const READS_RATIO_MIN = 0.5;

const REFERENCE_SERVER = fileURLToPath(new URL('./reference-http-server.ts', import.meta.url));
const AGAINST = 'a bare Fastify route that sends the same value with as many headers, same load, without a store';
/** Node writes these itself, for both. */
const NODES_HEADERS: ReadonlySet<string> = new Set(['connection', 'content-length', 'date', 'keep-alive']);

/** One way to use the API: what is sent, and what is wanted of it. */
interface Use {
  readonly name: string;
  readonly requests: readonly HttpRequest[];
  readonly ratioMin?: number;
}

/**
 * Requests per second, and how long each takes, of a control plane as users run it: reading the pages of all agents, and making
 * commands that wait for agents that are away. Each beside a bare Fastify in a process of its own.
 */
export async function api(): Promise<void> {
  const size = scaled(AGENTS, 2 * PAGE_LIMIT);
  for (const engine of enginesHere()) await measure(engine, size);
}

async function measure(engine: Engine, size: number): Promise<void> {
  await using database = await BenchDatabase.make(engine);
  const configFile = database.dir.join('drawbridge.yaml');
  await writeServerConfig(configFile, { storeUrl: database.url });
  await using controlPlane = await TestControlPlane.start({ args: ['--config', configFile] });
  const agentIds = await makeAgents(controlPlane, size);
  const authorization = `Bearer ${controlPlane.token}`;
  const reads: Use = {
    name: 'read_agents',
    ratioMin: READS_RATIO_MIN,
    requests: await pagesOf(controlPlane, { authorization }),
  };
  const headers = { authorization, 'content-type': 'application/json' };
  const body = JSON.stringify({ operation: 'agent.ping', queue_if_offline: true });
  const commands: Use = {
    name: 'create_commands',
    requests: agentIds.map((id) => ({ method: 'POST', path: `/api/v1/agents/${id}/commands`, headers, body })),
  };
  for (const use of [reads, commands]) {
    const reference = await courseOfReference(controlPlane, use, database.dir.join('answer.json'));
    reportCourse(engine, size, use, await courseOf(controlPlane.url, use), reference);
  }
}

/** Agents that never connect, and how they are called. */
async function makeAgents(controlPlane: TestControlPlane, size: number): Promise<string[]> {
  const numbers = Array.from({ length: size }, (_, number) => number);
  return mapBounded(numbers, MADE_AT_ONCE, async (number) => {
    const labels = { env: number % 2 === 0 ? 'dev' : 'prod', rack: `r${number % 40}` };
    const { status, body } = await controlPlane.api('POST', '/api/v1/agents', { name: `agent-${number}`, labels });
    if (!isRecord(body) || typeof body['agent_id'] !== 'string') throw new Error(`no agent, but ${status}`);
    return body['agent_id'];
  });
}

/** A request for every page of agents, as one follows the cursors. */
async function pagesOf(controlPlane: TestControlPlane, headers: Record<string, string>): Promise<HttpRequest[]> {
  const requests: HttpRequest[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const path: string = `/api/v1/agents${cursor === '' ? '' : `?cursor=${cursor}`}`;
    const { status, body } = await controlPlane.api('GET', path);
    if (!isRecord(body) || !Array.isArray(body['items'])) throw new Error(`no agents, but ${status}`);
    requests.push({ method: 'GET', path, headers });
    cursor = typeof body['next_cursor'] === 'string' ? encodeURIComponent(body['next_cursor']) : null;
  }
  // The last page may hold less: it would make the load lighter than its reference.
  return requests.slice(0, -1);
}

/** The reference answers every request with what the control plane answers to the first one. */
async function courseOfReference(controlPlane: TestControlPlane, use: Use, answerFile: string): Promise<HttpCourse> {
  const [first] = use.requests;
  if (first === undefined) throw new Error(`${use.name}: nothing is asked`);
  const { path, ...init } = first;
  const answer = await fetch(new URL(path, controlPlane.url), init);
  const headers = [...answer.headers].filter(([name]) => !NODES_HEADERS.has(name));
  await writeFile(answerFile, JSON.stringify({ headers: Object.fromEntries(headers), body: await answer.json() }));
  const args = ['--disable-warning=ExperimentalWarning', REFERENCE_SERVER, answerFile];
  await using reference = await TestProcess.start({ command: process.execPath, args, env: process.env });
  const findUrl = () => reference.stdout.lines.map((line) => /^ready (\S+)$/.exec(line)?.[1]).at(0);
  const url = await reference.waitFor(findUrl, { what: 'the reference server', timeoutMs: 10_000 });
  return await courseOf(url, use);
}

function courseOf(url: string, { requests }: Use): Promise<HttpCourse> {
  const seconds = scaled(SECONDS);
  return loadOverHttp({ url, requests, connections: CONNECTIONS, seconds, warmUpSeconds: Math.ceil(seconds / 5) });
}

function reportCourse(engine: Engine, size: number, use: Use, ours: HttpCourse, reference: HttpCourse): void {
  const figures = [
    ['requests_per_second', 'requestsPerSecond'],
    ['p50_ms', 'p50Ms'],
    ['p99_ms', 'p99Ms'],
  ] as const;
  for (const [figure, key] of figures) {
    report({
      bench: 'api',
      figure: `${use.name}_${engine}_${figure}`,
      size,
      value: ours[key],
      reference: reference[key],
      against: AGAINST,
      ...(key === 'requestsPerSecond' && use.ratioMin !== undefined ? { aim: { ratioMin: use.ratioMin } } : {}),
    });
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
