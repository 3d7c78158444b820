import { join } from 'node:path';
import { systemClock } from '@drawbridge/link';
import { ControlError, unreachable } from '@drawbridge/protocol';
import type { LinkConfigUpdate, ServerMessage } from '@drawbridge/protocol';
import { isAllowed as allows, printConfig } from '@drawbridge/runtime';
import type { Logger, Shutdown } from '@drawbridge/runtime';
import { serverAccess } from './access.ts';
import { agentInfo } from './agent-info.ts';
import { EventOutbox } from './commands/event-outbox.ts';
import { Executor } from './commands/executor.ts';
import { makeHandlers } from './commands/handlers.ts';
import { tasksDirOf } from './config.ts';
import type { AgentConfig } from './config.ts';
import { HealthSampler } from './health/health-sampler.ts';
import { ListenerCheck } from './health/listeners.ts';
import { Journal } from './journal/journal.ts';
import { errorPayload } from './link/agent-link.ts';
import type { AgentLink } from './link/agent-link.ts';
import { LinkKeeper } from './link/keep-linked.ts';
import { housekeeping } from './housekeeping.ts';
import { providerSettings } from './provider-settings.ts';
import { ProviderRegistry } from './providers/registry.ts';
import { AgentSessions } from './sessions/agent-sessions.ts';
import { HostClient } from './sessions/host-client.ts';
import { sessionChannel } from './sessions/session-channel.ts';
import type { SessionSettings } from './sessions/session-table.ts';
import { inheritedEnvironment } from './tasks/environment.ts';
import { endOrphans } from './tasks/end-orphans.ts';
import { systemProcessTable } from './tasks/system-process-table.ts';
import { TaskRunner } from './tasks/task-runner.ts';
import { Telemetry } from './telemetry.ts';
import { AgentTunnels } from './tunnels/agent-tunnels.ts';
import { TargetPolicy } from './tunnels/target-policy.ts';
import { taskChannel } from './tunnels/task-channel.ts';
import { tcpChannels } from './tunnels/tcp-channel.ts';

const CAPABILITIES = ['tasks', 'sessions'] as const;

/** After a drain the last outcomes have this long to be acknowledged. */
const LAST_ACKS_MS = 5_000;
const LAST_ACKS_POLL_MS = 50;

/**
 * Runs the agent until it is told to stop: ends what a dead predecessor left behind, keeps the link, runs what it is told.
 * `onConnected` is called after each connection. Resolves once everything has been drained.
 */
export async function runAgent(
  { config, dataDir, log }: { config: AgentConfig; dataDir: string; log: Logger },
  shutdown: Shutdown,
  onConnected: (agentId: string, url: string) => void,
): Promise<void> {
  const clock = systemClock;
  const access = await serverAccess(config, dataDir);
  using journal = Journal.open(join(dataDir, 'journal.db'), () => clock.now());
  const workspaceRoot = tasksDirOf(config.tasks.workspace_root ?? dataDir);
  const killGraceMs = config.tasks.kill_grace * 1000;
  const orphans = await endOrphans(workspaceRoot, { table: systemProcessTable(), clock, killGraceMs });
  if (orphans.length > 0) log.warn({ taskIds: orphans }, 'ended what the last agent left running');

  const listenerCheck = new ListenerCheck(clock);
  await requireNoListener(listenerCheck, log);
  const providers = new ProviderRegistry(providerSettings(config, log), log);
  await using runner = await TaskRunner.open({
    workspaceRoot,
    providers,
    clock,
    env: process.env,
    concurrency: config.tasks.concurrency,
    killGraceMs,
  });
  const isAllowed = (operation: string) => allows(operation, config.security.operations);
  const events = new EventOutbox(journal, log);
  await using host = new HostClient({ dataDir, env: inheritedEnvironment(process.env), clock, log });
  const sessions = new AgentSessions(host, sessionSettings(config));
  await using tunnels = new AgentTunnels({
    access,
    clock,
    log,
    serverNowMs: () => keeper.serverNowMs(),
    channels: {
      task: taskChannel(runner, log),
      session: sessionChannel(sessions, log),
      ...tcpChannels({ policy: new TargetPolicy(config.tunnels), clock, log }),
    },
    isAllowed,
    domains: config.tunnels.domains,
  });
  const sampler = new HealthSampler({
    clock,
    sources: {
      probeProviders: () => providers.probeAll(),
      tasksRunning: () => runner.running,
      sessions: () => sessions.running,
      tunnels: () => tunnels.size,
      creditStalls: () => tunnels.creditStalls,
    },
    listenerCheck,
    dockerSocket: dockerSocketOf(config),
  });
  const telemetry = new Telemetry({
    sampler,
    clock,
    log,
    capacity: config.queue.max_size,
    intervalMs: () => keeper.intervalMs,
  });
  const executor = new Executor({
    journal,
    clock,
    log,
    isAllowed,
    handlers: makeHandlers({
      runner,
      tunnels,
      sessions,
      events,
      nowMs: () => clock.now(),
      info: () => agentInfo({ providers, listenerCheck, isAllowed, capabilities: CAPABILITIES, startedAtMs }),
      settings: () => ({ yaml: printConfig(config) }),
    }),
  });
  const startedAtMs = clock.now();
  const keeper = new LinkKeeper({
    access,
    config,
    journal,
    clock,
    log,
    capabilities: CAPABILITIES,
    user: {
      message: (message, link) => dispatch(message, link),
      health: () => telemetry.heartbeat(),
      journalReplaced: () => events.restart(),
      linkUp(link) {
        onConnected(access.agentId, access.url);
        executor.linkUp(link);
        events.linkUp(link);
        telemetry.linkUp(link);
      },
      linkDown() {
        executor.linkDown();
        events.linkDown();
        telemetry.linkDown();
      },
    },
  });

  /** One line per message: read this to know everything a control plane can tell an agent. */
  function dispatch(message: ServerMessage, link: AgentLink): void {
    switch (message.type) {
      case 'command':
        return executor.receive(message.id, message.payload);
      case 'cancel':
        return executor.cancel(message.payload.command_id);
      case 'ack':
        return 'event_seq' in message.payload
          ? events.acknowledged(message.payload.event_seq)
          : executor.acknowledged(message.payload.command_id);
      case 'config_update':
        return configure(message.payload, message.id, link);
      case 'error':
        return log.warn({ code: message.payload.code, ref: message.payload.ref }, message.payload.message);
      case 'disconnect':
        return log.info({ reason: message.payload.reason }, 'the control plane says goodbye');
      case 'hello':
      case 'auth_response':
      case 'heartbeat':
        return;
      default:
        unreachable(message);
    }
  }

  /** The agent's own file has the last word; the control plane is told what it is. */
  function configure(asked: LinkConfigUpdate, ref: string, link: AgentLink): void {
    try {
      const applied = keeper.configure(asked);
      log.info({ ...applied }, 'settings of the control plane taken');
      link.send('ack', { ref, applied });
    } catch (error) {
      const { code, message } = errorPayload(error);
      log.warn({ code }, message);
      link.send('error', { code, message, ref });
    }
  }

  const over = new AbortController();
  const linked = keeper.run(over.signal);
  const loops = [
    telemetry.run(over.signal),
    housekeeping({ workspaceRoot, config, journal, runner, clock, log }, over.signal),
  ];
  const drained = drain();
  try {
    await Promise.race([linked, drained]);
  } finally {
    over.abort(new Error('Shutdown'));
    await Promise.allSettled([...loops, linked]);
  }

  /** Finishes what runs, then gives the last outcomes time to be acknowledged. */
  async function drain(): Promise<void> {
    await aborted(shutdown.drain);
    await Promise.all([runner.drain(shutdown.stop), executor.drain()]);
    const untilMs = clock.monotonic() + LAST_ACKS_MS;
    while (journal.unacknowledged().length > 0 && clock.monotonic() < untilMs) await clock.sleep(LAST_ACKS_POLL_MS);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/** S0-002: this process listens on nothing, and looks for itself whether that is so. */
async function requireNoListener(check: ListenerCheck, log: Logger): Promise<void> {
  const listeners = await check.listeners();
  if (listeners === undefined)
    return log.warn('the self-check for listening ports needs /proc: not run on this system');
  if (listeners.length > 0)
    throw new ControlError('internal', `this agent listens on ${listeners.join(', ')}: it must not`);
  log.info({ listeners: 0 }, 'self-check: no port is listened on');
}

function sessionSettings({ sessions }: AgentConfig): SessionSettings {
  const { shell, ring_bytes: ringBytes, ttl, max: runningMax, max_per_user: runningOfOneMax } = sessions;
  return { shell, ringBytes, ttlMs: ttl * 1000, runningMax, runningOfOneMax };
}

function dockerSocketOf({ docker }: AgentConfig): string | undefined {
  return docker.socket.startsWith('unix://') ? docker.socket.slice('unix://'.length) : undefined;
}
