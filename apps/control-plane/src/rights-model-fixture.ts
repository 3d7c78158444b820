import { BUILT_IN_ROLES, OWN_VERBS } from '@drawbridge/protocol/api';
import type { Verb } from '@drawbridge/protocol/api';
import { randomUUID } from 'node:crypto';
import type { Sample } from './rights-samples-fixture.ts';
import type { Env, RightsWorld } from './rights-world-fixture.ts';

/** For tests: what a role of the test's own gives: to cancel tasks, without seeing them. */
export const CUSTOM_ROLE = { name: 'canceller', verbs: ['agent.read', 'task.cancel'] } as const satisfies {
  name: string;
  verbs: readonly Verb[];
};

type RoleName = keyof typeof BUILT_IN_ROLES | typeof CUSTOM_ROLE.name;

/** For tests: who asks. */
export interface Asker {
  readonly who: string;
  readonly roles: readonly (readonly [role: RoleName, env?: Env])[];
  /** It comes with an API token of this scope, instead of a session. */
  readonly token?: { readonly verbs?: readonly Verb[]; readonly env?: Env };
  /** Its credential is not good any more. */
  readonly over?: 'disabled' | 'expired' | 'revoked' | 'signed out';
}

/** For tests: everybody who asks every route. */
export const ASKERS: readonly Asker[] = [
  { who: 'nobody in particular', roles: [] },
  { who: 'a token without any right', roles: [], token: { verbs: ['admin.backup'] } },
  { who: 'a viewer', roles: [['viewer']] },
  { who: 'an operator', roles: [['operator']] },
  { who: 'an admin', roles: [['admin']] },
  { who: 'a viewer of dev', roles: [['viewer', 'dev']] },
  { who: 'an operator of dev', roles: [['operator', 'dev']] },
  { who: 'an admin of dev', roles: [['admin', 'dev']] },
  { who: 'a viewer who is an operator of dev', roles: [['viewer'], ['operator', 'dev']] },
  { who: 'somebody with a role that people made', roles: [['canceller']] },
  { who: 'a token of an admin for all they may', roles: [['admin']], token: {} },
  { who: 'a token of an admin for two verbs', roles: [['admin']], token: { verbs: ['agent.read', 'task.read'] } },
  { who: 'a token of an admin for dev', roles: [['admin']], token: { env: 'dev' } },
  { who: 'a token of an operator of dev for prod', roles: [['operator', 'dev']], token: { env: 'prod' } },
  { who: 'an admin who is disabled', roles: [['admin']], over: 'disabled' },
  { who: 'an admin who was signed out', roles: [['admin']], over: 'signed out' },
  { who: 'an expired token of an admin', roles: [['admin']], token: {}, over: 'expired' },
  { who: 'a revoked token of an admin', roles: [['admin']], token: {}, over: 'revoked' },
];

/** For tests: makes them, and returns what they come with. */
export async function enter(world: RightsWorld, asker: Asker): Promise<string> {
  const { roles, token, over } = asker;
  const bindings = roles.map(([role, env]) => [role, env === undefined ? '' : `env=${env}`] as const);
  const userId = await world.addUser(`u${randomUUID().slice(0, 8)}`, bindings);
  const secret = token === undefined ? await world.signIn(userId) : await tokenOf(world, userId, asker);
  if (over === 'disabled') await world.disable(userId);
  if (over === 'signed out') await world.nouns.sessions.endAll(userId);
  return secret;
}

async function tokenOf(world: RightsWorld, userId: string, { token, over }: Asker) {
  const { verbs, env } = token ?? {};
  const issued = await world.issueToken(userId, {
    ...(verbs === undefined ? {} : { verbs }),
    selector: env === undefined ? '' : `env=${env}`,
    seconds: over === 'expired' ? 0 : 86_400,
  });
  if (over === 'revoked') await world.nouns.apiTokens.revoke(issued.id);
  return issued.token;
}

/** For tests: what the answer says. `missing` is the one that something which is not there gets. */
export type Verdict = 'done' | 'unauthenticated' | 'forbidden' | 'missing';

interface Right {
  readonly verb: Verb;
  /** All of them at once; none: everywhere. A token for prod of an owner who has dev reaches nothing, and is still a right. */
  readonly envs: readonly Env[];
}

/** For tests: SECURITY.md's rules once more, in few words: what `asker` is to be answered. */
export function expected(asker: Asker, sample: Sample, { verb, env }: { verb: Verb; env: Env }): Verdict {
  if (asker.over !== undefined) return 'unauthenticated';
  const rights = rightsOf(asker);
  const here = (wanted: Verb) =>
    rights.some((right) => right.verb === wanted && right.envs.every((one) => one === env));
  const somewhere = (wanted: Verb) => rights.some((right) => right.verb === wanted);
  const everywhere = (wanted: Verb) => rights.some((right) => right.verb === wanted && right.envs.length === 0);
  const { besides = verb, toRead = 'agent.read' } = sample;
  switch (sample.about) {
    case 'agent':
      if (here(verb)) return 'done';
      return here(toRead) ? 'forbidden' : 'missing';
    case 'lease':
      if (here(verb) && here(besides)) return 'done';
      return here(toRead) ? 'forbidden' : 'missing';
    case 'new agent':
      return here(verb) ? 'done' : 'forbidden';
    case 'agents':
      return somewhere(verb) ? 'done' : 'forbidden';
    case 'new bulk run':
      if (!somewhere(verb) || !somewhere(besides)) return 'forbidden';
      return here(verb) ? 'done' : 'missing';
    case 'bulk run':
      if (!somewhere(verb)) return 'forbidden';
      if (!here(verb)) return 'missing';
      return here(besides) ? 'done' : 'forbidden';
    case 'server':
      return everywhere(verb) ? 'done' : 'forbidden';
    case 'own':
      return everywhere(verb) && isEnough(asker, sample.only) ? 'done' : 'forbidden';
    case 'token':
      if (!everywhere(verb)) return 'forbidden';
      return everywhere('admin.users') ? 'done' : 'missing';
    case 'feed':
      if (everywhere('account.self') || everywhere('admin.users')) return 'done';
      return (['agent.read', 'agent.command', 'task.read', 'tunnel.read'] as const).some(somewhere)
        ? 'done'
        : 'forbidden';
  }
}

/** Every token that somebody makes expires: none of them is as good as its owner. */
function isEnough({ token }: Asker, only: Sample['only']): boolean {
  return token === undefined || only === undefined;
}

/** What the roles give, and what everybody has; of a token only what it was made for. */
function rightsOf({ roles, token }: Asker): Right[] {
  const all: Right[] = OWN_VERBS.map((verb) => ({ verb, envs: [] }));
  for (const [role, env] of roles) {
    const verbs = role === CUSTOM_ROLE.name ? CUSTOM_ROLE.verbs : BUILT_IN_ROLES[role];
    all.push(...verbs.map((verb) => ({ verb, envs: env === undefined ? [] : [env] })));
  }
  if (token === undefined) return all;
  const { verbs, env } = token;
  return all
    .filter(({ verb }) => verbs?.includes(verb) ?? true)
    .map(({ verb, envs }) => ({ verb, envs: env === undefined ? envs : [...envs, env] }));
}
