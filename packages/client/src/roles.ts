import { RoleView } from '@drawbridge/protocol/api';
import type { Verb } from '@drawbridge/protocol/api';
import { z } from 'zod';
import type { Http } from './http.ts';

/** A role to make. */
export interface NewRole {
  readonly name: string;
  readonly verbs: readonly Verb[];
  readonly description?: string | undefined;
}

/** What of a role is to change; `verbs` replaces all of them. */
export interface RoleChange {
  readonly verbs?: readonly Verb[] | undefined;
  readonly description?: string | undefined;
}

const Roles = z.object({ items: z.array(RoleView) });

/** Roles: verbs under a name. The built-in ones stay as they are. */
export class RolesApi {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** Every role, the built-in ones first. */
  async list(signal?: AbortSignal): Promise<RoleView[]> {
    return (await this.#http.json(Roles, '/api/v1/roles', { signal })).items;
  }

  /** One role. */
  get(role: string, signal?: AbortSignal): Promise<RoleView> {
    return this.#http.json(RoleView, pathOf(role), { signal });
  }

  /** Makes a role; nobody makes one that can do more than they can. */
  create(role: NewRole, signal?: AbortSignal): Promise<RoleView> {
    return this.#http.json(RoleView, '/api/v1/roles', { body: role, signal });
  }

  /** Changes what is given, for all who have the role. */
  update(role: string, change: RoleChange, signal?: AbortSignal): Promise<RoleView> {
    return this.#http.json(RoleView, pathOf(role), { method: 'PATCH', body: change, signal });
  }

  /** Removes the role, from all who have it too. */
  remove(role: string, signal?: AbortSignal): Promise<void> {
    return this.#http.done(pathOf(role), { method: 'DELETE', signal });
  }
}

function pathOf(role: string): string {
  return `/api/v1/roles/${encodeURIComponent(role)}`;
}
