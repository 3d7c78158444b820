import { BUILT_IN_ROLES, OWN_VERBS } from '@drawbridge/protocol/api';
import type { Verb } from '@drawbridge/protocol/api';
import type { RegisteredRoute } from './rights-world-fixture.ts';

/** For tests: the routes that ask nobody who they are, and why that is right. */
export const PUBLIC_ROUTES: Readonly<Record<string, string>> = {
  'GET /': 'The built-in page; it holds no data, and asks the API like everybody.',
  'GET /sign-in': 'The built-in page.',
  'GET /login': 'The built-in page.',
  'GET /page.js': 'Part of the built-in page.',
  'GET /page-api.js': 'Part of the built-in page.',
  'GET /page-lists.js': 'Part of the built-in page.',
  'GET /page-sign-in.js': 'Part of the built-in page.',
  'GET /page.css': 'Part of the built-in page.',
  'GET /docs': 'The description of the API; it is the same for everybody.',
  'GET /openapi.json': 'The description of the API; it is the same for everybody.',
  'GET /healthz': 'Load balancers ask it; it says "ok".',
  'GET /readyz': 'Load balancers ask it; it names no one and nothing but what is not ready.',
  'GET /metrics': 'Has a door of its own: this very machine, `metrics.token`, or the right `metrics.read`.',
  'GET /api/v1/identity': 'Agents and people make sure of the control plane before they trust it with anything.',
  'POST /api/v1/enroll': 'The join token in it is the right.',
  'POST /api/v1/first-admin': 'The one-time code in it is the right.',
  'POST /api/v1/sign-in': 'The way in: a one-time code, or a name and a password.',
  'POST /api/v1/sessions': 'The way in for programs: a name and a password.',
  'POST /api/v1/login-requests': 'A command line asks to be let in; somebody who is signed in says yes or no.',
  'POST /api/v1/login-requests/:id/token': 'The poll secret in it is the right, once somebody has said yes.',
};

/** For tests: what docs/rights.md says: every route, the right it asks for, and which of the built-in roles give it. */
export function rightsPage(routes: readonly RegisteredRoute[]): string {
  const shown = routes.filter(({ method }) => method !== 'HEAD').toSorted(byPath);
  const closed = shown.filter(({ isPublic }) => !isPublic);
  const open = shown.filter(({ isPublic }) => isPublic);
  return `${HEAD}
${table([
  ['Route', 'Right', 'viewer', 'operator', 'admin'],
  ...closed.map((route) => [code(keyOf(route)), rightOf(route), ...ROLES.map((role) => mark(role, route))]),
])}
${PUBLIC_HEAD}
${table([
  ['Route', 'Why it is public'],
  ...open.map((route) => [code(keyOf(route)), PUBLIC_ROUTES[keyOf(route)] ?? '']),
])}`;
}

const ROLES = ['viewer', 'operator', 'admin'] as const;

const HEAD = `# Rights by route

Made by \`route-rights.test.ts\` from the routes themselves. What the rights mean, and how a role is limited to some agents by a
selector, is said in [SECURITY.md](../SECURITY.md).

An agent that is outside of the caller's scope, and whatever belongs to it, is answered like one that is not there: 404. What may be
seen but not done is 403. Lists hold what is in scope. A route about the control plane itself asks for a right to all agents.
\`account.self\` is everybody's; only a token may lack it.
`;

const PUBLIC_HEAD = `## Without a sign-in

WebSockets have four paths. \`/ws/agents/{agent_id}\` and \`/ws/agents/{agent_id}/tunnels/{tunnel_id}\` are for agents, which
prove who they are in their first message (PROTOCOL.md §2.1); no right of a person opens them. \`/ws/tunnel/{tunnel_id}\` is for the
operator of a lease: it takes a sign-in, \`tunnel.open\` on the agent, \`tunnel.takeover\` for somebody else's, and a tunnel's token.
\`/sandboxes/{agent}/proxy/{port}/…\`, with or without \`/v1\`, leads to a service behind an agent and asks for \`tunnel.open\` there, as its
route does.
`;

function rightOf(route: RegisteredRoute): string {
  const { verb = '' } = route;
  const besides = BESIDES[keyOf(route)];
  const instead = INSTEAD[keyOf(route)];
  if (instead !== undefined) return `${code(verb)}, or ${instead}`;
  return besides === undefined ? code(verb) : `${code(verb)} and ${besides}`;
}

/** What a route asks for only when it knows what is wanted. */
const BESIDES: Readonly<Record<string, string>> = {
  'POST /api/v1/bulk-runs': 'the right to the operation, on each agent',
  'POST /api/v1/bulk-runs/:id/cancel': 'the right to cancel the operation, on each agent',
  'DELETE /api/v1/tokens/:token': "`admin.users` for somebody else's",
  'GET /api/v1/tokens': "`admin.users` for everybody's",
  'POST /api/v1/tunnels/:id/token': "`tunnel.takeover` for somebody else's",
  'GET /api/v1/events': 'of each event the right to read what it is about',
};

/** What is enough, too. */
const INSTEAD: Readonly<Record<string, string>> = {
  'DELETE /api/tunnel/:id': "`tunnel.open` for one's own",
};

function mark(role: (typeof ROLES)[number], route: RegisteredRoute): string {
  const verbs: readonly Verb[] = [...BUILT_IN_ROLES[role], ...OWN_VERBS];
  // Every operation asks for at least this one, or for one that the same roles give.
  const wanted = [
    route.verb,
    ...(keyOf(route).startsWith('POST /api/v1/bulk-runs') ? (['agent.command'] as const) : []),
  ];
  return wanted.every((verb) => verb !== undefined && verbs.includes(verb)) ? 'yes' : '—';
}

function table(rows: readonly (readonly string[])[]): string {
  const [head = [], ...body] = rows;
  const widths = head.map((_, column) => Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |\n`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('');
}

function byPath(a: RegisteredRoute, b: RegisteredRoute): number {
  return a.path === b.path ? a.method.localeCompare(b.method) : a.path.localeCompare(b.path);
}

function keyOf({ method, path }: RegisteredRoute): string {
  return `${method} ${path}`;
}

function code(text: string): string {
  return `\`${text}\``;
}
