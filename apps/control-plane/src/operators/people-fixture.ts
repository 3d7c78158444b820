import type { Verb } from '@drawbridge/protocol/api';
import { parseSelector } from '@drawbridge/protocol';
import { ADMIN, ControlPlaneFixture } from '../control-plane-fixture.ts';
import { AccessWatch } from './access-watch.ts';
import type { Actor } from './actor.ts';
import { ApiTokens } from './api-tokens.ts';
import { LoginRequests } from './login-requests.ts';
import { Principals } from './principals.ts';
import { Roles } from './roles.ts';
import { Sessions } from './sessions.ts';
import { SignInLinks } from './sign-in-links.ts';
import { Users } from './users.ts';

/** For tests: twelve hours, as configured by default. */
export const IDLE_MS = 12 * 60 * 60_000;

/** For tests: somebody with these rights who is in no store. */
export function actorWith(...grants: readonly (readonly [verbs: readonly Verb[], selector: string])[]): Actor {
  return {
    kind: 'user',
    id: 'u1',
    name: 'ann',
    userId: 'u1',
    grants: grants.map(([verbs, selector]) => ({ verbs: new Set(verbs), selector: parseSelector(selector) })),
  };
}

/** For tests: people, their roles, sessions and tokens over a real store. Disposing leaves nothing. */
export class PeopleFixture implements AsyncDisposable {
  readonly control: ControlPlaneFixture;
  readonly principals: Principals;
  readonly roles: Roles;
  readonly users: Users;
  readonly sessions: Sessions;
  readonly tokens: ApiTokens;
  readonly links: SignInLinks;
  readonly loginRequests: LoginRequests;
  readonly access: AccessWatch;

  private constructor(control: ControlPlaneFixture) {
    const { db, bus, publish } = control.parts;
    const { clock } = control;
    this.control = control;
    this.principals = new Principals({ db, bus, clock, sessionIdleMs: IDLE_MS });
    this.roles = new Roles({ db, bus, publish, clock });
    this.users = new Users({ db, roles: this.roles, bus, publish, clock });
    this.tokens = new ApiTokens({ db, bus, publish, clock });
    this.links = new SignInLinks(clock);
    this.loginRequests = new LoginRequests(clock);
    this.sessions = new Sessions({ db, bus, clock, waysIn: [this.links, this.loginRequests] });
    this.access = new AccessWatch({ principals: this.principals, bus, clock });
  }

  /** Nobody has ever signed in. */
  static async makeEmpty(): Promise<PeopleFixture> {
    return new PeopleFixture(await ControlPlaneFixture.make());
  }

  /** With `root`, an admin. */
  static async make(): Promise<PeopleFixture> {
    const people = await PeopleFixture.makeEmpty();
    await people.users.createFirst('root', undefined);
    return people;
  }

  /** A user with one role and an open session; the actor is who comes in with it. */
  async person(name: string, role: string, selector = '') {
    const user = await this.users.create({ name, password: undefined, roles: [{ role, selector }] }, ADMIN);
    const by = { label: 'a test', method: 'password', address: null } as const;
    const { token: session } = await this.sessions.open(user.id, by);
    return { user, session, actor: await this.actor(session) };
  }

  /** Who comes in with this session or token. Throws when nobody does. */
  async actor(secret: string): Promise<Actor> {
    const actor = await this.principals.bySecret(secret);
    if (actor === undefined) throw new Error('nobody comes in with this');
    return actor;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.control[Symbol.asyncDispose]();
  }
}
