import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Kysely } from 'kysely';
import { systemClock } from '@drawbridge/link';
import { ControlError, WsClose } from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import type { Presence } from './agents/presence.ts';
import { MemoryBus } from './bus/memory.ts';
import type { ServerConfig } from './config.ts';
import { addressList } from './edge/address-list.ts';
import { Edge } from './edge/edge.ts';
import { buildApp } from './http/app.ts';
import type { AppOptions } from './http/app.ts';
import { watchCertificate } from './http/certificate-watch.ts';
import { honourIdempotencyKeys } from './http/idempotency.ts';
import { mayReadMetrics } from './http/may-read-metrics.ts';
import { describeRoutes } from './http/openapi.ts';
import { docsRoutes } from './http/routes/docs.ts';
import { healthRoutes } from './http/routes/health.ts';
import { pageRoutes } from './http/routes/pages.ts';
import { ServerIdentity } from './identity/server-identity.ts';
import { liveGauges } from './live-gauges.ts';
import { makeNouns } from './nouns.ts';
import type { Foundation, Nouns } from './nouns.ts';
import { Observation } from './observation.ts';
import { commandBacklog } from './observability/command-backlog.ts';
import { leaseGauges } from './observability/lease-gauges.ts';
import { checkReadiness } from './observability/readiness.ts';
import { storeMetrics } from './observability/store-metrics.ts';
import { firstStart } from './operators/first-start.ts';
import { BackendConnections } from './proxy/backend-connections.ts';
import { proxyRoutes } from './proxy/proxy-routes.ts';
import { SandboxDoor } from './proxy/sandbox-door.ts';
import { WebSocketDoor } from './proxy/web-socket-door.ts';
import { apiRoutes, rootApiRoutes } from './routes.ts';
import { AgentsRepository } from './store/agents-repository.ts';
import { migrate } from './store/migrator.ts';
import { MIGRATIONS } from './store/migrations/index.ts';
import { openStore } from './store/open-store.ts';
import type { Schema } from './store/schema.ts';
import { SecretBox } from './store/secret-box.ts';
import { timestamp } from './store/timestamp.ts';
import type { SystemTunnels } from './tunnels/system-tunnels.ts';
import { AgentDoor } from './ws/agent-door.ts';
import { AgentInbox } from './ws/agent-inbox.ts';
import { LeasedListeners } from './ws/leased-listeners.ts';
import { LinkWatch } from './ws/link-watch.ts';
import { OperatorSignIn } from './ws/operator-sign-in.ts';
import { SessionDoor } from './ws/session-door.ts';
import { OperatorDoor } from './ws/operator-door.ts';
import { Strangers } from './ws/strangers.ts';
import { UpgradeHandler } from './ws/upgrade.ts';

/** After a shutdown agents come back within this time, spread out. */
const RECONNECT_SPREAD_MS = 10_000;
const RECONNECT_MIN_MS = 1_000;

/** A running control plane. Disposing drains it: agents are told when to come back, then everything is closed. */
export interface ControlPlane extends AsyncDisposable {
  /** Where it is reached, as agents and people are told. */
  readonly url: string;
  /** The one-time link by which somebody becomes the first admin; undefined once there is one. */
  readonly firstAdminUrl: string | undefined;
  /** Resolves when it cannot go on: its store is gone. */
  readonly failed: Promise<void>;
}

export interface StartOptions {
  readonly config: ServerConfig;
  readonly dataDir: string;
  readonly log: Logger;
  /** Names the file of the first admin's API token (contract of the API, §2). */
  readonly bootstrapFile: string | undefined;
}

/** Opens the store, wires the nouns to their carriers, and starts to listen. */
export async function startControlPlane(options: StartOptions): Promise<ControlPlane> {
  const { config, dataDir, log, bootstrapFile } = options;
  const clock = systemClock;
  requireServed(config);
  await using cleanup = new AsyncDisposableStack();
  await mkdir(dataDir, { recursive: true, mode: 0o700 });

  const observation = cleanup.use(await Observation.start({ config, clock, log }));
  const { metrics } = observation;
  const store = cleanup.use(await openStore(config.store, dataDir, clock));
  const db = new Kysely<Schema>({ dialect: store.dialect, log: storeMetrics(metrics, () => store.stats()) });
  await migrate(db, MIGRATIONS, clock);
  const box = await SecretBox.load(join(dataDir, 'secret.key'));
  const identity = await ServerIdentity.load(join(dataDir, 'server-identity.json'));
  await new AgentsRepository(db).disconnectAll(timestamp(clock));

  let url = '';
  const publicUrl = () => url;
  const bus = new MemoryBus();
  const leased = config.tunnels.listener === 'leased' ? cleanup.use(new LeasedListeners({ config, log })) : undefined;
  const foundation = {
    config,
    db,
    store,
    bus,
    box,
    identity,
    clock,
    log,
    observation,
    publicUrl,
    ...(leased === undefined ? {} : { bindPort: leased.bind }),
  };
  const nouns = makeNouns(foundation);
  cleanup.use(nouns.audit);
  cleanup.use(nouns.leases);
  cleanup.use(nouns.backups);
  liveGauges(metrics, nouns.presence, nouns.tunnels);
  leaseGauges(metrics, nouns.leases, nouns.leasePorts);
  commandBacklog(metrics, db, clock);
  const firstAdminCode = await firstStart({ ...nouns, tokens: nouns.apiTokens }, bootstrapFile);

  const stop = new AbortController();
  const app = await makeApp(foundation, nouns, { publicUrl, leased, isDraining: () => stop.signal.aborted });
  cleanup.defer(() => app.close());
  await nouns.leases.load();

  const timeoutMs = config.agents.websocket_timeout * 1000;
  const loops = [
    nouns.reaper.run(stop.signal),
    nouns.audit.run(stop.signal),
    nouns.access.run(stop.signal),
    nouns.health.run(stop.signal),
    nouns.idempotentAnswers.run(stop.signal),
    nouns.bulkEngine.run(stop.signal),
    nouns.leases.run(stop.signal),
    new LinkWatch({ presence: nouns.presence, db, clock, log, timeoutMs }).run(stop.signal),
    watchCertificate(
      { server: app.server, files: config.listen.tls, clock, log, onReplaced: (tls) => leased?.useCertificate(tls) },
      stop.signal,
    ),
  ];
  cleanup.defer(() => Promise.all(loops).then(() => undefined));
  cleanup.defer(() => {
    stop.abort(new Error('shutting down'));
    sayGoodbye(nouns.presence, nouns.tunnels);
    nouns.operatorTunnels.drop();
  });
  url = config.listen.public_url ?? (await listen(app, config));

  const owned = cleanup.move();
  return {
    url,
    firstAdminUrl: firstAdminCode === undefined ? undefined : `${url}/sign-in#${firstAdminCode}`,
    failed: store.ended,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Throws ControlError `unsupported` for what a configuration may say and nobody does yet: silence would be a promise. */
function requireServed({ bus, auth }: ServerConfig): void {
  if (bus.url !== 'memory:') throw new ControlError('unsupported', 'bus.url: only memory: is served yet');
  if (auth.oidc === undefined && auth.local) return;
  throw new ControlError('unsupported', 'auth.oidc: sign-in by an identity provider is not served yet');
}

interface Surroundings {
  readonly publicUrl: () => string;
  /** The listeners of leases that have a port of their own. */
  readonly leased?: LeasedListeners | undefined;
  readonly isDraining: () => boolean;
  /** What else sees every route: tests. */
  readonly observers?: AppOptions['observers'];
}

/** The HTTP server with all its routes, and the door for agents. It does not listen yet. */
export async function makeApp(foundation: Foundation, nouns: Nouns, surroundings: Surroundings) {
  const { publicUrl, leased, isDraining, observers = [] } = surroundings;
  const { config, db, identity, clock, log, observation } = foundation;
  const { metrics } = observation;
  const edge = new Edge(config);
  const allowlist = config.agents.ip_allowlist;
  const isAllowed = allowlist.length === 0 ? () => true : addressList('agents.ip_allowlist', allowlist);
  const readiness = () => checkReadiness({ db, migrations: MIGRATIONS, clock, isDraining });
  const mayRead = mayReadMetrics({ token: config.metrics.token, principals: nouns.principals });
  const connections = new BackendConnections({ tunnels: nouns.tunnels, clock });
  const door = new SandboxDoor({ ...nouns, clock });
  const numbers = config.metrics.listen === undefined ? { registry: metrics.registry, mayRead } : undefined;
  const app = await buildApp({
    config,
    log,
    principals: nouns.principals,
    edge,
    requests: nouns.limits.requests,
    audit: nouns.audit,
    observers: [
      (fastify) => observation.requestsOf(fastify),
      describeRoutes,
      (fastify) => honourIdempotencyKeys(fastify, { answers: nouns.idempotentAnswers, labels: nouns.labels }),
      ...observers,
    ],
    api: apiRoutes({ nouns, config, identity, clock, publicUrl, isAllowed }),
    root: [
      healthRoutes({ readiness, metrics: numbers }),
      docsRoutes(),
      pageRoutes(),
      ...rootApiRoutes(nouns),
      proxyRoutes({ door, connections, clock, requests: nouns.limits.requests }),
    ],
  });
  const signIn = new OperatorSignIn({
    principals: nouns.principals,
    edge,
    requests: nouns.limits.requests,
    parseCookie: (header) => app.parseCookie(header),
  });
  const upgrades = new UpgradeHandler({
    db,
    door: agentDoor(foundation, nouns),
    signIn,
    operators: new OperatorDoor(signIn, nouns.operatorTunnels),
    sessions: new SessionDoor({
      signIn,
      agents: nouns.agents,
      sessions: nouns.agentSessions,
      access: nouns.access,
      audit: nouns.audit,
      clock,
    }),
    tunnels: nouns.tunnels,
    leases: nouns.leases,
    operatorTunnels: nouns.operatorTunnels,
    sandboxes: new WebSocketDoor({ door, connections, clock, log }),
    clock,
    strangers: new Strangers(config.limits.unauthenticated_per_address),
    log,
    refusals: metrics.refusals,
    edge,
    attempts: nouns.limits.attempts,
    activity: nouns.activity,
    isAllowed,
    isOpen: () => config.agents.enable_agent_mode && !isDraining(),
    isDraining,
  });
  app.server.on('close', () => connections[Symbol.dispose]());
  app.server.on('upgrade', (request, socket, head) => upgrades.handle(request, socket, head));
  leased?.handOver((request, socket, head, via) => upgrades.handle(request, socket, head, via));
  return app;
}

/** Where agents come in, and who hears what they say. */
function agentDoor({ db, identity, clock, log, observation }: Foundation, nouns: Nouns): AgentDoor {
  const { presence, commands, delivery, tasks, tunnels, operatorTunnels, reaper, settings, activity } = nouns;
  const inbox = new AgentInbox({ db, presence, commands, delivery, tasks, settings, clock, log });
  const { metrics } = observation;
  return new AgentDoor({
    db,
    identity,
    presence,
    inbox,
    delivery,
    tunnels: [tunnels, operatorTunnels],
    reaper,
    clock,
    log,
    metrics,
    settings,
    activity,
  });
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
