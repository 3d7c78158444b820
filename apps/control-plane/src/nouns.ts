import type { Kysely } from 'kysely';
import type { Clock } from '@drawbridge/link';
import type { AgentPage } from '@drawbridge/protocol/api';
import type { Logger } from '@drawbridge/runtime';
import { AgentActivity } from './agents/agent-activity.ts';
import { AgentService } from './agents/agent-service.ts';
import { AgentSettings } from './agents/agent-settings.ts';
import { Enrolment } from './agents/enrolment.ts';
import { HealthHistory } from './agents/health-history.ts';
import { JoinTokens } from './agents/join-tokens.ts';
import { Presence } from './agents/presence.ts';
import { AuditLog } from './audit/audit-log.ts';
import { Backups } from './backup/backups.ts';
import { BulkEngine } from './bulk/bulk-engine.ts';
import { BulkRuns } from './bulk/bulk-runs.ts';
import type { Bus } from './bus/bus.ts';
import { CommandService } from './commands/command-service.ts';
import { DeliveryRights } from './commands/delivery-rights.ts';
import { Delivery } from './commands/delivery.ts';
import { Reaper } from './commands/reaper.ts';
import { AgentLabels } from './events/agent-labels.ts';
import { EventFeed } from './events/event-feed.ts';
import type { Publish } from './events/event-feed.ts';
import { followChanges } from './events/follow-changes.ts';
import { EventStreams } from './events/follow-events.ts';
import type { ServerConfig } from './config.ts';
import { Groups } from './groups/groups.ts';
import { IdempotentAnswers } from './idempotency/idempotent-answers.ts';
import type { ServerIdentity } from './identity/server-identity.ts';
import type { TokenBuckets } from './limits/token-buckets.ts';
import { rateLimits } from './limits/rate-limits.ts';
import type { Observation } from './observation.ts';
import { AccessWatch } from './operators/access-watch.ts';
import { ApiTokens } from './operators/api-tokens.ts';
import { LoginRequests } from './operators/login-requests.ts';
import { Principals } from './operators/principals.ts';
import { Roles } from './operators/roles.ts';
import { Sessions } from './operators/sessions.ts';
import { SignInLinks } from './operators/sign-in-links.ts';
import { Users } from './operators/users.ts';
import { AgentSessions } from './sessions/agent-sessions.ts';
import { Believed } from './store/believed.ts';
import type { Schema } from './store/schema.ts';
import type { SecretBox } from './store/secret-box.ts';
import type { Store } from './store/store.ts';
import { TaskOutput } from './tasks/task-output.ts';
import { TaskService } from './tasks/task-service.ts';
import { LeaseActivity } from './tunnels/lease-activity.ts';
import { Leases } from './tunnels/leases.ts';
import { OperatorTokens } from './tunnels/operator-tokens.ts';
import { OperatorTunnels } from './tunnels/operator-tunnels.ts';
import { leasePorts } from './tunnels/port-pool.ts';
import type { BindPort } from './tunnels/port-pool.ts';
import { SystemTunnels } from './tunnels/system-tunnels.ts';
import { TunnelList } from './tunnels/tunnel-list.ts';
import { TunnelTokens } from './tunnels/tunnel-tokens.ts';

/** The list of agents is as old as this at most; what an `agent.*` event of this node tells shows at once. */
const PAGES_BELIEVED_MS = 1_000;
const PAGES_KEPT_MAX = 256;

/** What the nouns stand on. */
export interface Foundation {
  readonly config: ServerConfig;
  readonly db: Kysely<Schema>;
  readonly store: Store;
  readonly bus: Bus;
  readonly box: SecretBox;
  readonly identity: ServerIdentity;
  readonly clock: Clock;
  readonly log: Logger;
  readonly observation: Observation;
  /** Where others reach this control plane; empty while nobody knows. By default what the configuration says. */
  readonly publicUrl?: () => string;
  /** Listens on a port of a lease's own; without it there are none. */
  readonly bindPort?: BindPort;
}

export type Nouns = ReturnType<typeof makeNouns>;

/** Everything a control plane knows and does, apart from how it is reached. */
export function makeNouns(foundation: Foundation) {
  const { config, db, bus, box, identity, clock, log, observation } = foundation;
  const { metrics } = observation;
  const feed = new EventFeed(clock);
  const labels = new AgentLabels({ db, clock });
  const agentPages = new Believed<AgentPage>({ clock, forMs: PAGES_BELIEVED_MS, keptMax: PAGES_KEPT_MAX });
  const publish: Publish = (event) => {
    labels.heard(event);
    if (event.type.startsWith('agent.')) agentPages.forget();
    feed.publish(event);
    // Labels decide who may: what is open is looked at again.
    if (event.type === 'agent.changed') bus.publish('access');
  };
  const people = makePeople(foundation, publish);
  const audit = new AuditLog({ db, identity, clock, log, retentionDays: config.audit.retention_days, metrics });
  const presence = new Presence(bus, clock);
  const limits = rateLimits(config.limits, clock);
  const commands = new CommandService({
    db,
    presence,
    box,
    bus,
    clock,
    log,
    commandsPerAgentMax: config.limits.commands_per_agent,
    rateLimit: limits.commands,
  });
  const delivery = new Delivery(commands, {
    db,
    presence,
    clock,
    log,
    traceparentOf: (commandId) => observation.traces.traceparentOf(commandId),
    rights: new DeliveryRights({ db, principals: people.principals, audit, clock, log }),
  });
  commands.onPending((agentId) => delivery.wake(agentId));
  const reaper = new Reaper(commands, { db, presence, clock, log });
  reaper.onOffline(() => agentPages.forget());
  const tasks = new TaskService({ db, commands, bus, clock });
  observation.follow(commands, tasks);
  const activity = new AgentActivity({ audit, publish, log, refusals: limits.refusals });
  const tunnelTokens = new TunnelTokens(identity, clock);
  const tunnels = new SystemTunnels({ commands, presence, tokens: tunnelTokens, clock, log, metrics, activity });
  const leasing = makeLeasing(foundation, {
    presence,
    labels,
    access: people.access,
    audit,
    publish,
    commands,
    refusals: limits.refusals,
    tunnels,
    tunnelTokens,
  });
  const { leases } = leasing;
  const agents = new AgentService({ db, presence, tunnels, reaper, publish, clock, log });
  agents.onRevoked((agentId) => leases.agentRevoked(agentId));
  const output = new TaskOutput({ tasks, agents, tunnels, presence, bus, clock });
  const joinTokens = new JoinTokens(identity, db, clock);
  const enrolment = new Enrolment(db, joinTokens, clock, config.agents.max_agents_per_host);
  const bulkRuns = new BulkRuns({ db, box, clock });
  const { principals } = people;
  const bulkEngine = new BulkEngine({ db, commands, tasks, principals, presence, audit, box, bus, clock, log });
  bulkRuns.onChange((runId) => bulkEngine.wake(runId));
  followChanges(publish, { presence, commands, tasks, enrolment });
  const events = new EventStreams({ feed, labels, access: people.access, clock });
  return {
    ...people,
    events,
    labels,
    agentPages,
    agentSessions: new AgentSessions({ commands, tunnels }),
    settings: makeSettings(foundation, presence, publish),
    health: new HealthHistory({ db, presence, clock, log, retentionHours: config.agents.health_retention_hours }),
    idempotentAnswers: new IdempotentAnswers({ db, box, clock, log }),
    audit,
    backups: new Backups(foundation),
    activity,
    presence,
    limits,
    commands,
    delivery,
    reaper,
    tasks,
    tunnels,
    tunnelTokens,
    ...leasing,
    agents,
    output,
    joinTokens,
    enrolment,
    groups: new Groups({ db, publish, clock }),
    bulkRuns,
    bulkEngine,
  };
}

/** The tunnels that operators ask for. */
function makeLeasing(foundation: Foundation, parts: LeasingParts) {
  const { config, db, clock, log, bindPort } = foundation;
  const { presence, labels, access, audit, publish, commands, refusals, tunnels, tunnelTokens } = parts;
  const publicUrl = foundation.publicUrl ?? (() => '');
  const ports = leasePorts(config, { publicUrl, bindPort });
  const activity = new LeaseActivity({ audit, publish, log, refusals });
  const leases = new Leases({ db, ports, presence, access, labels, activity, clock, log, config: config.tunnels });
  const operatorTunnels = new OperatorTunnels({
    leases,
    tokens: tunnelTokens,
    commands,
    presence,
    labels,
    access,
    activity,
    clock,
    log,
    metrics: foundation.observation.metrics,
    heartbeatSeconds: config.tunnels.heartbeat_interval,
    hasOwnPorts: config.tunnels.listener === 'leased',
  });
  return {
    leases,
    operatorTunnels,
    leasePorts: ports,
    operatorTokens: new OperatorTokens(tunnelTokens, publicUrl),
    tunnelList: new TunnelList({ db, tunnels, leases, operatorTunnels, labels }),
  };
}

interface LeasingParts {
  readonly presence: Presence;
  readonly labels: AgentLabels;
  readonly access: AccessWatch;
  readonly audit: AuditLog;
  readonly publish: Publish;
  readonly commands: CommandService;
  readonly refusals: TokenBuckets;
  readonly tunnels: SystemTunnels;
  readonly tunnelTokens: TunnelTokens;
}

/** What each agent is told to do. */
function makeSettings({ config, db, clock }: Foundation, presence: Presence, publish: Publish): AgentSettings {
  const { heartbeat_interval, command_timeout, websocket_timeout: silenceSeconds } = config.agents;
  const defaults = { heartbeat_interval, command_timeout };
  return new AgentSettings({ db, presence, publish, clock, defaults, silenceSeconds });
}

/** Who may do what, and how they come in. */
function makePeople({ config, db, bus, clock }: Foundation, publish: Publish) {
  const principals = new Principals({ db, bus, clock, sessionIdleMs: config.auth.session_ttl * 1000 });
  const roles = new Roles({ db, bus, publish, clock });
  const links = new SignInLinks(clock);
  const loginRequests = new LoginRequests(clock);
  return {
    principals,
    roles,
    users: new Users({ db, roles, bus, publish, clock }),
    sessions: new Sessions({ db, bus, clock, waysIn: [links, loginRequests] }),
    apiTokens: new ApiTokens({ db, bus, publish, clock }),
    links,
    loginRequests,
    access: new AccessWatch({ principals, bus, clock }),
  };
}
