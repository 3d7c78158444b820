import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { scaled, TempDir, TestAgent, TestControlPlane, TestProcess } from '@drawbridge/testkit';
import { makeBundle } from '../scripts/bundle/make-bundle.ts';
import { controlPlaneTarget } from './load/control-plane-target.ts';
import { Load } from './load/load.ts';
import { writeServerConfig } from './load/server-config.ts';
import { Api } from './measure/api.ts';
import { journalCost } from './measure/journal-cost.ts';
import { type Latency, latencyOf, runDirectly, stampScript } from './measure/latency.ts';
import { percentile } from './measure/percentile.ts';
import { report } from './measure/report.ts';
import { watchUsage } from './measure/usage.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TASKS = 500;
/** Run and not counted: connections, caches and compiled code are ready after them. */
const WARM_UP_TASKS = 20;
const OTHER_AGENTS = 1_000;
const REST_MS = 20_000;
const AGENT_REST_BYTES_MAX = 80e6;
const MIB = 1024 * 1024;
const BARE_NODE = 'setInterval(() => {}, 1000)';
const DIRECTLY = '/bin/sh with the same script, started directly';

/**
 * From the call of the API to the start of the process, and to the final state as the API tells it: one task at a time, on an
 * idle control plane and beside other agents; the agent is the bundle that a service runs. Then what an agent costs while it
 * has nothing to do.
 */
export async function dispatch(): Promise<void> {
  await using bare = await TestProcess.start({ command: process.execPath, args: ['-e', BARE_NODE] });
  await using dir = await TempDir.make('drawbridge-bench-');
  const configFile = dir.join('drawbridge.yaml');
  await writeServerConfig(configFile);
  await using controlPlane = await TestControlPlane.start({ args: ['--config', configFile] });
  await makeBundle(ROOT, dir.join('bundle'));
  // What a service runs; its second start finds what the first one compiled.
  await using agent = await TestAgent.start({ controlPlane, binary: dir.join('bundle/drawbridge.js') });
  await agent.restart();
  await using fromSources = await TestAgent.start({ controlPlane });
  await reportRest(agent.pid, fromSources.pid, bare.pid);
  await fromSources.stop();

  const api = new Api(controlPlane);
  await measureTasks(api, agent.agentId, dir, WARM_UP_TASKS);
  const size = scaled(TASKS, 5);
  reportLatency('idle', size, await measureTasks(api, agent.agentId, dir, size), 15);
  reportJournal(dir.path, size);

  const others = scaled(OTHER_AGENTS, 10);
  await using load = await Load.start({
    size: others,
    processes: 1,
    dialsAtOnce: 16,
    targetOf: (_, share) => controlPlaneTarget(controlPlane, share),
  });
  await load.connect(others);
  reportLatency(`with_${others}_agents`, size, await measureTasks(api, agent.agentId, dir, size));
  await load.requireAllConnected();
}

/** Each task is followed by its reference: what else the machine does meets both alike. */
async function measureTasks(api: Api, agentId: string, dir: TempDir, count: number) {
  const tasks: Latency[] = [];
  const direct: Latency[] = [];
  for (let index = 0; index < count; index += 1) {
    const [taskFile, directFile, scriptFile] = [dir.join('task'), dir.join('direct'), dir.join('script')];
    await writeFile(scriptFile, stampScript(directFile));
    tasks.push(
      await latencyOf(taskFile, async () => api.waitForTask(await api.startTask(agentId, stampScript(taskFile)))),
    );
    direct.push(await latencyOf(directFile, () => runDirectly(scriptFile)));
  }
  return { tasks, direct };
}

function reportLatency(
  when: string,
  size: number,
  { tasks, direct }: { tasks: Latency[]; direct: Latency[] },
  startMsMax?: number,
): void {
  for (const key of ['startMs', 'endMs'] as const) {
    for (const [name, share] of [
      ['p50', 0.5],
      ['p99', 0.99],
    ] as const) {
      const of = (samples: Latency[]) =>
        percentile(
          samples.map((sample) => sample[key]),
          share,
        );
      const isAimed = startMsMax !== undefined && key === 'startMs' && name === 'p50';
      report({
        bench: 'dispatch',
        figure: `${key === 'startMs' ? 'api_to_process' : 'api_to_final_state'}_${when}_${name}_ms`,
        size,
        value: of(tasks),
        reference: of(direct),
        against: DIRECTLY,
        ...(isAimed ? { aim: { valueMax: startMsMax } } : {}),
      });
    }
  }
}

function reportJournal(dir: string, size: number): void {
  const { journalMs, fsyncMs } = journalCost(dir, size);
  report({
    bench: 'dispatch',
    figure: 'agent_journal_write_p50_ms',
    size,
    value: percentile(journalMs, 0.5),
    reference: percentile(fsyncMs, 0.5),
    against: 'appending 4 KiB to a file of the same file system, with fdatasync',
  });
}

/** An agent as a service has it, one from sources and a bare Node, watched at the same time. */
async function reportRest(agentPid: number, fromSourcesPid: number, barePid: number): Promise<void> {
  const pids = [agentPid, fromSourcesPid, barePid];
  const [ours, fromSources, theirs] = await watchUsage(pids, scaled(REST_MS, 2_000));
  if (ours === undefined || fromSources === undefined || theirs === undefined) throw new Error('nothing was watched');
  const common = { bench: 'dispatch', size: 1, against: `a bare node -e '${BARE_NODE}'` };
  report({
    ...common,
    figure: 'agent_at_rest_rss_mib',
    value: ours.rssBytes / MIB,
    reference: theirs.rssBytes / MIB,
    aim: { valueMax: AGENT_REST_BYTES_MAX / MIB },
  });
  report({
    ...common,
    figure: 'agent_from_sources_at_rest_rss_mib',
    value: fromSources.rssBytes / MIB,
    reference: theirs.rssBytes / MIB,
  });
  report({
    ...common,
    figure: 'agent_at_rest_cpu_percent',
    value: ours.cpuShare * 100,
    reference: theirs.cpuShare * 100,
  });
}
