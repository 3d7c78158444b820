import type { FastifyInstance, InjectOptions } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import type { AuditEntry } from '../audit/audit-entry.ts';
import { loadServerConfig } from '../config.ts';
import { Edge } from '../edge/edge.ts';
import { rateLimits } from '../limits/rate-limits.ts';
import type { Actor } from '../operators/actor.ts';
import { PeopleFixture } from '../operators/people-fixture.ts';
import { buildApp } from './app.ts';
import type { AppOptions } from './app.ts';

interface Surroundings {
  readonly overrides?: Record<string, unknown>;
  readonly observers?: AppOptions['observers'];
  readonly audit?: AppOptions['audit'];
}

/** For tests: the HTTP server with routes of the test's own, real people, and records kept in memory. */
export class AppFixture implements AsyncDisposable {
  readonly app: FastifyInstance;
  readonly people: PeopleFixture;
  readonly recorded: AuditEntry[];
  /** What `record` rejects with, when it is to fail. */
  recordFails: Error | undefined;

  private constructor(people: PeopleFixture, app: FastifyInstance, recorded: AuditEntry[]) {
    this.people = people;
    this.app = app;
    this.recorded = recorded;
  }

  static async make(
    routes: FastifyPluginCallbackZod,
    overrides: Record<string, unknown> = {},
    observers: AppOptions['observers'] = [],
  ): Promise<AppFixture> {
    return AppFixture.over(await PeopleFixture.make(), [routes], { overrides, observers });
  }

  /** Over people who are there already, because the routes stand on the same store. They end with it; `audit` keeps records too. */
  static async over(
    people: PeopleFixture,
    api: AppOptions['api'],
    { overrides = {}, observers = [], audit }: Surroundings = {},
  ): Promise<AppFixture> {
    const config = loadServerConfig({ env: {}, overrides });
    const recorded: AuditEntry[] = [];
    const holder: { fixture?: AppFixture } = {};
    const app = await buildApp({
      config,
      log: people.control.parts.log,
      principals: people.principals,
      edge: new Edge(config),
      requests: rateLimits(config.limits, people.control.clock).requests,
      audit: {
        async record(entry) {
          if (holder.fixture?.recordFails !== undefined) throw holder.fixture.recordFails;
          await audit?.record(entry);
          recorded.push(entry);
        },
      },
      observers,
      api,
      root: [],
    });
    holder.fixture = new AppFixture(people, app, recorded);
    return holder.fixture;
  }

  /** Asks as this actor's session or token, or as nobody. */
  async ask(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, secret?: string, more: InjectOptions = {}) {
    const authorization = secret === undefined ? {} : { authorization: `Bearer ${secret}` };
    return this.app.inject({
      method,
      url: `/api/v1${path}`,
      ...more,
      headers: { host: '127.0.0.1:7400', ...authorization, ...more.headers },
    });
  }

  /** A user with this role; what comes back lets them in. */
  async session(name: string, role: string, selector = ''): Promise<string> {
    return (await this.people.person(name, role, selector)).session;
  }

  async actor(secret: string): Promise<Actor> {
    return this.people.actor(secret);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.app.close();
    await this.people[Symbol.asyncDispose]();
  }
}
