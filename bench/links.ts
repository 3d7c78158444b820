import { fileURLToPath } from 'node:url';
import { systemClock } from '@drawbridge/link';
import { makePki, type Pki, scaled, TempDir, TestControlPlane, TestProcess } from '@drawbridge/testkit';
import { controlPlaneTarget } from './load/control-plane-target.ts';
import { Load } from './load/load.ts';
import { writeServerConfig } from './load/server-config.ts';
import { report } from './measure/report.ts';
import { type Usage, watchUsage } from './measure/usage.ts';

const AGENTS = 10_000;
const SPREAD = { processes: 2, dialsAtOnce: 64 } as const;
const REST_MS = 30_000;
/** Shorter with fewer agents, so that as many beats a second arrive at every scale. */
const HEARTBEAT_MS = 20_000;
/** A few links may fit into memory that is there already. */
const PAGE_KIB = 4;
/** Connected and cut before anything is measured: what is loaded and compiled once is no cost of a link. */
const WARM_UP_AGENTS = 200;

const REFERENCE_SERVER = fileURLToPath(new URL('./reference-ws-server.ts', import.meta.url));
const AGAINST = 'a bare ws + https server with the same certificate, load and heartbeats, without authentication';

/** What one server did with the crowd. */
interface Course {
  readonly connectSeconds: number;
  readonly stormSeconds: number;
  readonly rssPerLinkKib: number;
  readonly cpuMsPerHeartbeat: number;
}

/**
 * Many agents on one control plane, over TLS and with the signed challenge: how long until all are authenticated, what each
 * costs at rest, and how long until all are back after every connection was cut at once. The control plane logs warnings only.
 */
export async function links(): Promise<void> {
  const size = scaled(AGENTS, 10);
  await using dir = await TempDir.make('drawbridge-bench-');
  const pki = await makePki(dir.path);
  const reference = await referenceCourse(pki, size);
  const ours = await controlPlaneCourse(pki, size, dir.join('drawbridge.yaml'));
  const figure = (name: string, key: keyof Course, ratioMax?: number) =>
    report({
      bench: 'links',
      figure: name,
      size,
      value: ours[key],
      reference: reference[key],
      against: AGAINST,
      ...(ratioMax === undefined ? {} : { aim: { ratioMax } }),
    });
  figure('connect_all_seconds', 'connectSeconds', 2);
  figure('rss_per_link_kib', 'rssPerLinkKib', 1.5);
  figure('cpu_per_link_and_heartbeat_ms', 'cpuMsPerHeartbeat');
  figure('reconnect_all_seconds', 'stormSeconds', 2);
}

async function referenceCourse({ ca, server }: Pki, size: number): Promise<Course> {
  const args = ['--disable-warning=ExperimentalWarning', REFERENCE_SERVER, server.certFile, server.keyFile];
  await using reference = await TestProcess.start({ command: process.execPath, args, env: process.env });
  const findUrl = () => reference.stdout.lines.map((line) => /^ready (\S+)$/.exec(line)?.[1]).at(0);
  const url = await reference.waitFor(findUrl, { what: 'the reference server', timeoutMs: 10_000 });
  await using load = await Load.start({
    ...SPREAD,
    size,
    targetOf: () => ({ kind: 'reference', url, caFile: ca.certFile, heartbeatSeconds: heartbeatSeconds() }),
  });
  return await runCourse(load, size, reference.pid);
}

async function controlPlaneCourse(pki: Pki, size: number, configFile: string): Promise<Course> {
  await writeServerConfig(configFile, { heartbeatSeconds: heartbeatSeconds() });
  await using controlPlane = await TestControlPlane.start({ tls: pki, args: ['--config', configFile] });
  await using load = await Load.start({
    ...SPREAD,
    size,
    targetOf: (_, share) => controlPlaneTarget(controlPlane, share),
  });
  // What enrolling ten thousand agents left in memory is no cost of a link.
  await controlPlane.restart();
  return await runCourse(load, size, controlPlane.pid);
}

/** Connect, rest, cut, connect: the same for both servers. */
async function runCourse(load: Load, size: number, pid: number): Promise<Course> {
  await load.connect(Math.ceil(Math.min(WARM_UP_AGENTS, size / 10)));
  await load.cut();
  const [idle] = await watchUsage([pid], scaled(REST_MS / 10, 1_000));
  const connectSeconds = await secondsOf(() => load.connect(size));
  const [rest] = await watchUsage([pid], scaled(REST_MS, 1_000));
  await load.requireAllConnected();
  const stormSeconds = await secondsOf(async () => {
    await load.cut();
    await load.connect(size);
  });
  await load.requireAllConnected();
  return { connectSeconds, stormSeconds, ...perLink(idle, rest, size) };
}

function perLink(idle: Usage | undefined, rest: Usage | undefined, size: number) {
  if (idle === undefined || rest === undefined) throw new Error('nothing was watched');
  return {
    rssPerLinkKib: Math.max(PAGE_KIB, (rest.rssBytes - idle.rssBytes) / 1024) / size,
    cpuMsPerHeartbeat: (rest.cpuShare * heartbeatSeconds() * 1000) / size,
  };
}

function heartbeatSeconds(): number {
  return scaled(HEARTBEAT_MS, 1_000) / 1000;
}

async function secondsOf(work: () => Promise<void>): Promise<number> {
  const startedMs = systemClock.monotonic();
  await work();
  return (systemClock.monotonic() - startedMs) / 1000;
}
