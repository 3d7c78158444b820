import { z } from 'zod';

/** Verbs about an agent: a right to one may be limited to some agents by their labels (security.md, row "rights"). */
export const AGENT_VERBS = [
  'agent.read',
  'agent.command',
  'task.read',
  'task.run',
  'task.cancel',
  'task.approve',
  'terminal.open',
  'terminal.observe',
  'file.read',
  'file.write',
  'tunnel.read',
  'tunnel.open',
  'tunnel.takeover',
  'docker.read',
  'docker.operate',
  'docker.create',
  'docker.root',
  'audit.read',
  'admin.agents',
] as const;

/** Verbs about the control plane itself: only a right to all agents counts for them. */
export const CONTROL_PLANE_VERBS = [
  'admin.join-tokens',
  'admin.users',
  'admin.roles',
  'admin.groups',
  'admin.backup',
  'metrics.read',
] as const;

/** What everybody may do with what is their own: their password, sessions and tokens. Only a token may lack it. */
export const OWN_VERBS = ['account.self'] as const;

/** Everything that can be permitted. */
export const VERBS = [...AGENT_VERBS, ...CONTROL_PLANE_VERBS, ...OWN_VERBS] as const;
export const Verb = z.enum(VERBS);
export type Verb = z.infer<typeof Verb>;

const VIEWER = ['agent.read', 'task.read', 'tunnel.read', 'docker.read'] as const satisfies readonly Verb[];
const OPERATOR = [
  ...VIEWER,
  'agent.command',
  'task.run',
  'task.cancel',
  'task.approve',
  'terminal.open',
  'terminal.observe',
  'file.read',
  'file.write',
  'tunnel.open',
  'docker.operate',
  'docker.create',
] as const satisfies readonly Verb[];

/** The roles that are always there. `docker.root` amounts to root on the machine: only an admin has it. */
export const BUILT_IN_ROLES: Readonly<Record<'viewer' | 'operator' | 'admin', readonly Verb[]>> = {
  viewer: VIEWER,
  operator: OPERATOR,
  admin: VERBS,
};

/** The name of a role, a group or a user: letters, digits, `.`, `_`, `-`, compared exactly. */
export const PlainName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'a name is letters, digits, . _ - (63 at most)');
