import { AgentView, GroupView, pageOf } from '@drawbridge/protocol/api';
import { allPages } from './all-pages.ts';
import type { Http } from './http.ts';

/** A group to make. */
export interface NewGroup {
  readonly name: string;
  /** Conditions on labels, such as `site=lab,env=prod`; empty: every agent. */
  readonly selector: string;
  readonly description?: string | undefined;
}

/** Groups: selectors under a name. */
export class GroupsApi {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** Every group, by name. */
  list(signal?: AbortSignal): Promise<GroupView[]> {
    return allPages(this.#http, pageOf(GroupView), '/api/v1/groups', { signal });
  }

  /** One group. */
  get(group: string, signal?: AbortSignal): Promise<GroupView> {
    return this.#http.json(GroupView, pathOf(group), { signal });
  }

  /** Makes a group. */
  create(group: NewGroup, signal?: AbortSignal): Promise<GroupView> {
    return this.#http.json(GroupView, '/api/v1/groups', { body: group, signal });
  }

  /** Changes what is given; the rest stays. */
  update(group: string, change: Partial<NewGroup>, signal?: AbortSignal): Promise<GroupView> {
    return this.#http.json(GroupView, pathOf(group), { method: 'PATCH', body: change, signal });
  }

  /** Removes the group; its agents stay. */
  remove(group: string, signal?: AbortSignal): Promise<void> {
    return this.#http.done(pathOf(group), { method: 'DELETE', signal });
  }

  /** The agents that are in the group now, as far as the caller may see them, by name. */
  agents(group: string, signal?: AbortSignal): Promise<AgentView[]> {
    return allPages(this.#http, pageOf(AgentView), `${pathOf(group)}/agents`, { signal });
  }
}

function pathOf(group: string): string {
  return `/api/v1/groups/${encodeURIComponent(group)}`;
}
