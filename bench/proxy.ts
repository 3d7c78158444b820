import { once } from 'node:events';
import { get } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { fileURLToPath } from 'node:url';
import { systemClock } from '@drawbridge/link';
import { scaled, TestAgent, TestControlPlane, TestProcess } from '@drawbridge/testkit';
import { loadOverHttp, type HttpCourse } from './load/http-load.ts';
import { median } from './measure/median.ts';
import { report } from './measure/report.ts';
import { startNginx } from './proxy/nginx.ts';

const CONNECTIONS = 16;
const SECONDS = 10;
const ROUNDS = 5;
const LARGE_BYTES = 500_000_000;
const SERVICE_MAIN = fileURLToPath(new URL('./proxy/service-main.ts', import.meta.url));
const FIGURES = [
  ['requests_per_second', 'requestsPerSecond'],
  ['p50_ms', 'p50Ms'],
  ['p99_ms', 'p99Ms'],
] as const;

/** A way to the service. */
interface Way {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** What is compared with: the name that figures end with, and what it is. */
interface Reference {
  readonly way: Way;
  readonly suffix: string;
  readonly against: string;
}

/** A web service behind an agent, through the proxy of the control plane: beside the service itself, and beside nginx before it. */
export async function proxy(): Promise<void> {
  await using service = await TestProcess.start({ command: process.execPath, args: [SERVICE_MAIN], env: process.env });
  const findPort = () => service.stdout.lines.map((line) => /^ready (\d+)$/.exec(line)?.[1]).at(0);
  const port = Number(await service.waitFor(findPort, { what: 'the service', timeoutMs: 10_000 }));
  await using nginx = await startNginx(port);
  await using controlPlane = await TestControlPlane.start();
  await using agent = await TestAgent.start({ controlPlane });
  const ours: Way = {
    url: `${controlPlane.url}/sandboxes/${agent.name}/proxy/${port}`,
    headers: { authorization: `Bearer ${controlPlane.token}` },
  };
  const references: Reference[] = [
    { way: { url: `http://127.0.0.1:${port}`, headers: {} }, suffix: '', against: 'the service itself, same load' },
    ...(nginx === undefined
      ? []
      : [
          {
            way: { url: nginx.url, headers: {} },
            suffix: '_beside_nginx',
            against: 'nginx before the service, one worker',
          },
        ]),
  ];
  await compareSmall(ours, references);
  await compareLarge(ours, references);
}

async function compareSmall(ours: Way, references: readonly Reference[]): Promise<void> {
  const value = await courseOf(ours);
  for (const { way, suffix, against } of references) {
    const reference = await courseOf(way);
    for (const [figure, key] of FIGURES)
      report({
        bench: 'proxy',
        figure: `small_get_${figure}${suffix}`,
        size: CONNECTIONS,
        value: value[key],
        reference: reference[key],
        against,
      });
  }
}

/** In turns, so that a busy moment of the machine meets all of them. */
async function compareLarge(ours: Way, references: readonly Reference[]): Promise<void> {
  const ways = [ours, ...references.map(({ way }) => way)];
  const speeds = ways.map((): number[] => []);
  for (let round = 0; round < scaled(ROUNDS); round += 1) {
    for (const [at, way] of ways.entries()) speeds[at]?.push(await megabytesPerSecond(way));
  }
  for (const [at, { suffix, against }] of references.entries())
    report({
      bench: 'proxy',
      figure: `large_get_megabytes_per_second${suffix}`,
      size: 1,
      value: median(speeds[0] ?? []),
      reference: median(speeds[at + 1] ?? []),
      against,
    });
}

function courseOf({ url, headers }: Way): Promise<HttpCourse> {
  const seconds = scaled(SECONDS);
  const { origin, pathname } = new URL(`${url}/`);
  const requests = [{ method: 'GET', path: pathname, headers }] as const;
  return loadOverHttp({
    url: origin,
    requests,
    connections: CONNECTIONS,
    seconds,
    warmUpSeconds: Math.ceil(seconds / 5),
  });
}

async function megabytesPerSecond({ url, headers }: Way): Promise<number> {
  const bytes = scaled(LARGE_BYTES, 1_000_000);
  const startedMs = systemClock.monotonic();
  const [answer] = (await once(get(`${url}/large?bytes=${bytes}`, { headers }), 'response')) as [IncomingMessage];
  let heardBytes = 0;
  for await (const chunk of answer) heardBytes += (chunk as Buffer).byteLength;
  if (heardBytes !== bytes) throw new Error(`${heardBytes} bytes of ${bytes}`);
  return bytes / 1e6 / ((systemClock.monotonic() - startedMs) / 1000);
}
