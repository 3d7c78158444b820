import { LIMITS } from '@drawbridge/protocol';
import { memoryOf, requires, scaled, TempDir, TestAgent, TestControlPlane } from '@drawbridge/testkit';
import { describe, expect, it } from 'vitest';
import { controlPlaneTarget } from '../../bench/load/control-plane-target.ts';
import { type HttpRequest, loadOverHttp } from '../../bench/load/http-load.ts';
import { Load } from '../../bench/load/load.ts';
import { writeServerConfig } from '../../bench/load/server-config.ts';

const AGENTS = 1_000;
const REQUESTS_PER_SECOND = 1_000;
const CONNECTIONS = 16;
const ROUNDS = 3;
/** Not scaled: each side has to be heard of again and again while it lasts, or it is given up. */
const ROUND_SECONDS = 6;
/** Five times as fast as usual, and so is the loss of a link noticed. */
const HEARTBEAT_SECONDS = 4;
const SILENCE_SECONDS = (HEARTBEAT_SECONDS * LIMITS.livenessTimeoutMs) / LIMITS.heartbeatIntervalMs;
/** What a heap may be larger by that was not collected just now; what is kept of every request is far more. */
const GROWTH_MAX = 1.5;
const TIMEOUT_MS = 240_000;

describe.runIf(requires('linux'))('under a load on its API, with many agents connected', () => {
  it(
    'answers every heartbeat and every request, gets commands through, and keeps nothing',
    async () => {
      await using dir = await TempDir.make();
      const configFile = dir.join('drawbridge.yaml');
      await writeServerConfig(configFile, { heartbeatSeconds: HEARTBEAT_SECONDS, silenceSeconds: SILENCE_SECONDS });
      await using controlPlane = await TestControlPlane.start({ args: ['--config', configFile] });
      await using agent = await TestAgent.start({ controlPlane });
      const size = scaled(AGENTS, 20);
      await using load = await Load.start({
        size,
        processes: 1,
        dialsAtOnce: 16,
        targetOf: (_, share) => controlPlaneTarget(controlPlane, share),
      });
      await load.connect(size);
      const round = () => oneRound(controlPlane, agent.agentId);

      await round();
      const before = memoryOf(controlPlane.pid).rssBytes;
      for (let number = 0; number < ROUNDS; number += 1) await round();
      expect(memoryOf(controlPlane.pid).rssBytes / before).toBeLessThan(GROWTH_MAX);

      // A client that hears nothing gives up, a control plane that hears nothing hangs up: nobody did.
      await load.requireAllConnected();
      expect(await linksLost(controlPlane)).toMatchObject({ items: [] });
    },
    TIMEOUT_MS,
  );
});

/** Requests at their rate, of which none fails, and one command after the other meanwhile, all of which succeed. */
async function oneRound(controlPlane: TestControlPlane, agentId: string): Promise<void> {
  const over = new AbortController();
  const commands = commandsUntil(over.signal, controlPlane, agentId);
  try {
    await loadOverHttp({
      url: controlPlane.url,
      requests: requestsOf(controlPlane, agentId),
      connections: CONNECTIONS,
      rate: scaled(REQUESTS_PER_SECOND, CONNECTIONS),
      seconds: ROUND_SECONDS,
      warmUpSeconds: 1,
    });
  } finally {
    over.abort();
  }
  expect(await commands).toBeGreaterThan(0);
}

async function commandsUntil(over: AbortSignal, controlPlane: TestControlPlane, agentId: string): Promise<number> {
  let succeeded = 0;
  while (!over.aborted) {
    const path = `/api/v1/agents/${agentId}/commands`;
    expect(await controlPlane.api('POST', path, { operation: 'agent.ping' })).toMatchObject({
      status: 200,
      body: { state: 'succeeded' },
    });
    succeeded += 1;
  }
  return succeeded;
}

/** What a console and a few scripts ask for. */
function requestsOf({ token }: TestControlPlane, agentId: string): HttpRequest[] {
  const headers = { authorization: `Bearer ${token}` };
  const paths = [
    'agents?limit=20',
    `agents/${agentId}`,
    'tasks?limit=20',
    'whoami',
    'groups',
    `agents/${agentId}/health`,
  ];
  return paths.map((path) => ({ method: 'GET', path: `/api/v1/${path}`, headers }));
}

/** Every end of a link that the control plane has recorded. */
async function linksLost(controlPlane: TestControlPlane): Promise<unknown> {
  return (await controlPlane.api('GET', '/api/v1/audit?verb=agent.disconnect')).body;
}
