import { RoleBinding, UserView, pageOf } from '@drawbridge/protocol/api';
import { z } from 'zod';
import { allPages } from './all-pages.ts';
import type { Http } from './http.ts';

/** Somebody to let in. Without a password, a sign-in link lets them choose one. */
export interface NewUser {
  readonly name: string;
  readonly password?: string | undefined;
  readonly roles?: readonly RoleBinding[] | undefined;
}

/** What of a user is to change; `roles` replaces all of them. */
export interface UserChange {
  readonly name?: string | undefined;
  readonly password?: string | undefined;
  readonly roles?: readonly RoleBinding[] | undefined;
  readonly disabled?: boolean | undefined;
}

const Link = z.object({ url: z.string() });

/** People, for those who look after them. A user is named by id or name. */
export class UsersApi {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** Every user, by name. */
  list(signal?: AbortSignal): Promise<UserView[]> {
    return allPages(this.#http, pageOf(UserView), '/api/v1/users', { signal });
  }

  /** One user. */
  get(user: string, signal?: AbortSignal): Promise<UserView> {
    return this.#http.json(UserView, pathOf(user), { signal });
  }

  /** Makes a user; nobody gives roles that can do more than they can. */
  create(user: NewUser, signal?: AbortSignal): Promise<UserView> {
    return this.#http.json(UserView, '/api/v1/users', { body: user, signal });
  }

  /** Changes what is given, within a second on open connections too; another password ends the user's sessions. */
  update(user: string, change: UserChange, signal?: AbortSignal): Promise<UserView> {
    return this.#http.json(UserView, pathOf(user), { method: 'PATCH', body: change, signal });
  }

  /** Removes the user with their sessions and tokens. */
  remove(user: string, signal?: AbortSignal): Promise<void> {
    return this.#http.done(pathOf(user), { method: 'DELETE', signal });
  }

  /** Makes a one-time link that signs this user in. */
  async createSignInLink(user: string, signal?: AbortSignal): Promise<string> {
    return (await this.#http.json(Link, `${pathOf(user)}/sign-in-links`, { method: 'POST', signal })).url;
  }

  /** Ends all sessions of the user; their API tokens stay. */
  signOut(user: string, signal?: AbortSignal): Promise<void> {
    return this.#http.done(`${pathOf(user)}/sessions`, { method: 'DELETE', signal });
  }
}

function pathOf(user: string): string {
  return `/api/v1/users/${encodeURIComponent(user)}`;
}
