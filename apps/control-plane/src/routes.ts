import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import type { Clock } from '@drawbridge/link';
import type { ServerConfig } from './config.ts';
import { accountRoutes } from './http/routes/account.ts';
import { agentConfigRoutes } from './http/routes/agent-config.ts';
import { agentHealthRoutes } from './http/routes/agent-health.ts';
import { agentSessionRoutes } from './http/routes/agent-sessions.ts';
import { agentRoutes } from './http/routes/agents.ts';
import { auditRoutes } from './http/routes/audit.ts';
import { backupRoutes } from './http/routes/backups.ts';
import { bulkRunRoutes } from './http/routes/bulk-runs.ts';
import { commandRoutes } from './http/routes/commands.ts';
import { eventRoutes } from './http/routes/events.ts';
import { enrolRoutes } from './http/routes/enrol.ts';
import { groupRoutes } from './http/routes/groups.ts';
import { joinTokenRoutes } from './http/routes/join-tokens.ts';
import { loginRequestRoutes } from './http/routes/login-requests.ts';
import { roleRoutes } from './http/routes/roles.ts';
import { signInRoutes } from './http/routes/sign-in.ts';
import { taskRoutes } from './http/routes/tasks.ts';
import { tokenRoutes } from './http/routes/tokens.ts';
import { leaseRoutes, tunnelRoutes } from './http/routes/tunnels.ts';
import { userRoutes } from './http/routes/users.ts';
import type { ServerIdentity } from './identity/server-identity.ts';
import type { Nouns } from './nouns.ts';

export interface ApiRouteParts {
  readonly nouns: Nouns;
  readonly config: ServerConfig;
  readonly identity: ServerIdentity;
  readonly clock: Clock;
  /** Where people and machines find this control plane. */
  readonly publicUrl: () => string;
  /** Whether an agent may come from this address. */
  readonly isAllowed: (address: string) => boolean;
}

/** Every route under /api/v1. */
export function apiRoutes({
  nouns,
  config,
  identity,
  clock,
  publicUrl,
  isAllowed,
}: ApiRouteParts): FastifyPluginCallbackZod[] {
  const { agents, presence, commands, tasks, output, access, limits, users, sessions, links } = nouns;
  return [
    agentRoutes({ agents, presence, pages: nouns.agentPages }),
    agentConfigRoutes(agents, nouns.settings),
    agentHealthRoutes(agents, nouns.health),
    agentSessionRoutes({ sessions: nouns.agentSessions, agents }),
    auditRoutes(nouns.audit, agents),
    backupRoutes(nouns.backups),
    commandRoutes({ commands, agents, presence, settings: nouns.settings }),
    enrolRoutes(nouns.enrolment, identity, { attempts: limits.attempts, isAllowed }),
    joinTokenRoutes(nouns.joinTokens, publicUrl),
    taskRoutes({ tasks, output, agents, access }),
    signInRoutes({ users, sessions, links, limits }),
    accountRoutes({ users, sessions, links, limits, publicUrl }),
    loginRequestRoutes({ requests: nouns.loginRequests, sessions, users, attempts: limits.attempts, publicUrl }),
    userRoutes({ users, sessions, links, publicUrl }),
    roleRoutes(nouns.roles),
    tokenRoutes(nouns.apiTokens),
    tunnelRoutes(tunnelParts(nouns)),
    groupRoutes({ groups: nouns.groups, agents, presence }),
    bulkRunRoutes(nouns.bulkRuns, nouns.groups, { agents, timeoutSecondsDefault: config.agents.command_timeout }),
    eventRoutes(nouns.events, clock),
  ];
}

/** Routes of the API whose paths are outside of /api/v1. */
export function rootApiRoutes(nouns: Nouns): FastifyPluginCallbackZod[] {
  return [leaseRoutes(tunnelParts(nouns))];
}

function tunnelParts({ tunnelList: list, leases, operatorTokens: tokens, agents }: Nouns) {
  return { list, leases, tokens, agents };
}
