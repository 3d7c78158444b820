import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Kysely } from 'kysely';
import { systemClock } from '@drawbridge/link';
import { ControlError, WsClose } from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import { AgentService } from './agents/agent-service.ts';
import { Enrolment } from './agents/enrolment.ts';
import { JoinTokens } from './agents/join-tokens.ts';
import { Presence } from './agents/presence.ts';
import { MemoryBus } from './bus/memory.ts';
import { CommandService } from './commands/command-service.ts';
import { Delivery } from './commands/delivery.ts';
import { RateLimit } from './commands/rate-limit.ts';
import { Reaper } from './commands/reaper.ts';
import type { ServerConfig } from './config.ts';
import { buildApp } from './http/app.ts';
import { agentRoutes } from './http/routes/agents.ts';
import { commandRoutes } from './http/routes/commands.ts';
import { enrolRoutes } from './http/routes/enrol.ts';
import { healthRoutes } from './http/routes/health.ts';
import { joinTokenRoutes } from './http/routes/join-tokens.ts';
import { pageRoutes, signInRoutes } from './http/routes/sign-in.ts';
import { taskRoutes } from './http/routes/tasks.ts';
import { ServerIdentity } from './identity/server-identity.ts';
import { makeMetrics } from './metrics.ts';
import { ApiTokens } from './operators/api-tokens.ts';
import { SignIn } from './operators/sign-in.ts';
import { AgentsRepository } from './store/agents-repository.ts';
import { migrate } from './store/migrator.ts';
import { MIGRATIONS } from './store/migrations/index.ts';
import type { Schema } from './store/schema.ts';
import { SecretBox } from './store/secret-box.ts';
import { openSqlite } from './store/sqlite/open-sqlite.ts';
import { timestamp } from './store/timestamp.ts';
import { TaskOutput } from './tasks/task-output.ts';
import { TaskService } from './tasks/task-service.ts';
import { SystemTunnels } from './tunnels/system-tunnels.ts';
import { TunnelTokens } from './tunnels/tunnel-tokens.ts';
import { addressList } from './ws/address-list.ts';
import { AgentDoor } from './ws/agent-door.ts';
import { AgentInbox } from './ws/agent-inbox.ts';
import { LinkWatch } from './ws/link-watch.ts';
import { Strangers } from './ws/strangers.ts';
import { UpgradeHandler } from './ws/upgrade.ts';

/** After a shutdown agents come back within this time, spread out. */
const RECONNECT_SPREAD_MS = 10_000;
const RECONNECT_MIN_MS = 1_000;

/** A running control plane. Disposing drains it: agents are told when to come back, then everything is closed. */
export interface ControlPlane extends AsyncDisposable {
  /** Where it is reached, as agents and people are told. */
  readonly url: string;
  readonly tokens: ApiTokens;
  /** Resolves when it cannot go on: its store is gone. */
  readonly failed: Promise<void>;
}

/** Wires the nouns to their store and their carriers, and starts to listen. */
export async function startControlPlane(config: ServerConfig, dataDir: string, log: Logger): Promise<ControlPlane> {
  const clock = systemClock;
  if (config.bus.url !== 'memory:') throw new ControlError('unsupported', 'bus.url: only memory: is served yet');
  await using cleanup = new AsyncDisposableStack();
  await mkdir(dataDir, { recursive: true, mode: 0o700 });

  const store = cleanup.use(await openSqlite({ path: sqlitePath(config.store.url, dataDir), clock }));
  const db = new Kysely<Schema>({ dialect: store.dialect });
  await migrate(db, MIGRATIONS, clock);
  const box = await SecretBox.load(join(dataDir, 'secret.key'));
  const identity = await ServerIdentity.load(join(dataDir, 'server-identity.json'));
  await new AgentsRepository(db).disconnectAll(timestamp(clock));

  const bus = new MemoryBus();
  const presence = new Presence(bus, clock);
  const commands = new CommandService({
    db,
    presence,
    box,
    bus,
    clock,
    log,
    commandsPerAgentMax: config.limits.commands_per_agent,
    rateLimit: new RateLimit(
      { perSecond: config.limits.commands_per_second, burst: config.limits.commands_burst },
      clock,
    ),
  });
  const delivery = new Delivery(commands, { db, presence, clock, log });
  commands.onPending((agentId) => delivery.wake(agentId));
  const reaper = new Reaper(commands, { db, presence, clock, log });
  const tasks = new TaskService({ db, commands, bus, clock });
  const tunnels = new SystemTunnels({ commands, presence, tokens: new TunnelTokens(identity, clock), clock, log });
  const agents = new AgentService({ db, presence, tunnels, reaper, clock, log });
  const output = new TaskOutput({ tasks, agents, tunnels, presence, bus, clock });
  const joinTokens = new JoinTokens(identity, db, clock);
  const tokens = new ApiTokens(db, clock);
  const signIn = new SignIn(db, clock);

  const stop = new AbortController();
  let url = '';
  const isTls = config.listen.tls !== undefined;
  const allowlist = config.agents.ip_allowlist;
  const attemptsPerMinute = config.limits.auth_attempts_per_minute;
  const isReady = async () => {
    // Throws when the store does not answer.
    await db.selectFrom('agents').select('agent_id').limit(1).execute();
    return !stop.signal.aborted;
  };
  const app = await buildApp({
    config,
    log,
    tokens,
    signIn,
    api: [
      agentRoutes(agents, presence),
      commandRoutes(commands, agents, config.agents.command_timeout),
      enrolRoutes(new Enrolment(db, joinTokens, clock), identity, attemptsPerMinute),
      joinTokenRoutes(joinTokens, () => url),
      signInRoutes(signIn, { isTls, publicUrl: () => url, attemptsPerMinute }),
      taskRoutes(tasks, output, agents),
    ],
    root: [healthRoutes(isReady, makeMetrics(presence, tunnels)), pageRoutes()],
  });
  cleanup.defer(() => app.close());

  const inbox = new AgentInbox({ db, presence, commands, delivery, tasks, clock, log });
  const linkConfig = {
    heartbeat_interval: config.agents.heartbeat_interval,
    command_timeout: config.agents.command_timeout,
  };
  const door = new AgentDoor({ db, identity, presence, inbox, delivery, tunnels, reaper, clock, log, linkConfig });
  const upgrades = new UpgradeHandler({
    db,
    door,
    tunnels,
    clock,
    strangers: new Strangers(config.limits.unauthenticated_per_address),
    log,
    isTrustedProxy: addressList('listen.trusted_proxies', config.listen.trusted_proxies),
    isAllowed: allowlist.length === 0 ? () => true : addressList('agents.ip_allowlist', allowlist),
    isOpen: () => config.agents.enable_agent_mode && !stop.signal.aborted,
  });
  app.server.on('upgrade', (request, socket, head) => upgrades.handle(request, socket, head));

  const timeoutMs = config.agents.websocket_timeout * 1000;
  const loops = [reaper.run(stop.signal), new LinkWatch({ presence, db, clock, log, timeoutMs }).run(stop.signal)];
  cleanup.defer(() => Promise.all(loops).then(() => undefined));
  cleanup.defer(() => {
    stop.abort(new Error('shutting down'));
    sayGoodbye(presence, tunnels);
  });
  url = config.listen.public_url ?? (await listen(app, config));

  const owned = cleanup.move();
  return { url, tokens, failed: store.ended, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Every agent is told to come back at a time of its own, so that they do not all come at once. */
function sayGoodbye(presence: Presence, tunnels: SystemTunnels): void {
  for (const link of presence.links()) {
    const reconnectAfterMs = RECONNECT_MIN_MS + Math.floor(Math.random() * spreadMs(presence.size));
    link.send('disconnect', { reason: 'server shutdown', reconnect_after_ms: reconnectAfterMs });
    link.end(WsClose.Normal, 'server shutdown');
  }
  tunnels.closeAll();
}

/** A few agents may return at once; many are spread. */
function spreadMs(agents: number): number {
  return Math.min(RECONNECT_SPREAD_MS, agents * 10);
}

async function listen(app: Awaited<ReturnType<typeof buildApp>>, config: ServerConfig): Promise<string> {
  const { host, port } = config.listen;
  try {
    await app.listen({ host, port });
  } catch (cause) {
    throw new ControlError(
      'conflict',
      `cannot listen on ${host}:${port}: ${cause instanceof Error ? cause.message : ''}`,
      { cause },
    );
  }
  const address = app.server.address();
  const actualPort = typeof address === 'object' && address !== null ? address.port : port;
  const shownHost = host.includes(':') ? `[${host}]` : host;
  return `${config.listen.tls === undefined ? 'http' : 'https'}://${shownHost}:${actualPort}`;
}

function sqlitePath(url: string, dataDir: string): string {
  if (!url.startsWith('sqlite:'))
    throw new ControlError('unsupported', `store.url ${url.split(':', 1)[0]}: only sqlite: is served yet`);
  const path = url.slice('sqlite:'.length);
  return path.startsWith('/') ? path : join(dataDir, path);
}
