import { ControlError } from '@drawbridge/protocol';
import { AuditRecord, AuditReport, pageOf } from '@drawbridge/protocol/api';
import { eventually } from '@drawbridge/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentService } from '../../agents/agent-service.ts';
import { newAgentRow } from '../../agents/new-agent-row.ts';
import { entry } from '../../audit/audit-fixture.ts';
import { AuditLog } from '../../audit/audit-log.ts';
import { AUDIT_LIMITS } from '../../audit/limits.ts';
import { ADMIN } from '../../control-plane-fixture.ts';
import { ServerIdentity } from '../../identity/server-identity.ts';
import { PeopleFixture } from '../../operators/people-fixture.ts';
import { AgentsRepository } from '../../store/agents-repository.ts';
import { AppFixture } from '../app-fixture.ts';
import { auditRoutes } from './audit.ts';

/** Who asks: an admin, an auditor of the lab, and a viewer, who has no right to the audit log. */
type Who = 'admin' | 'lab' | 'viewer';

let audit: AuditLog;
let server: AppFixture;
let sessions: Readonly<Record<Who, string>>;
beforeEach(async () => {
  const people = await PeopleFixture.make();
  audit = await auditLogOf(people);
  server = await AppFixture.over(people, [auditRoutes(audit, agentServiceOf(people))], { audit });
  await people.roles.create({ name: 'auditor', verbs: ['audit.read', 'agent.read'], description: '' }, ADMIN);
  sessions = {
    admin: await server.session('ann', 'admin'),
    lab: await server.session('lars', 'auditor', 'site=lab'),
    viewer: await server.session('vera', 'viewer'),
  };
  await addAgent('a1', 'lab');
  await addAgent('a2', 'home');
});
afterEach(async () => {
  await audit[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

async function get(path: string, as: Who = 'admin') {
  const response = await server.ask('GET', path, sessions[as]);
  return { status: response.statusCode, body: response.body };
}
/** The export over a real connection, as an admin gets it. */
async function fetchExport(signal: AbortSignal | null = null): Promise<Response> {
  const url = server.app.listeningOrigin;
  return fetch(`${url}/api/v1/audit/export`, { headers: { authorization: `Bearer ${sessions.admin}` }, signal });
}
async function records(path: string, as: Who = 'admin') {
  const { body } = await get(path, as);
  return pageOf(AuditRecord).parse(JSON.parse(body));
}

describe('GET /audit', () => {
  it('pages through what was recorded, newest first', async () => {
    await fill(3);
    const first = await records('/audit?limit=2');
    expect(first.items.map(({ seq }) => seq)).toEqual([3, 2]);
    const second = await records(`/audit?limit=2&cursor=${first.next_cursor}`);
    expect(second).toMatchObject({ items: [{ seq: 1 }], next_cursor: null });
  });

  it('understands a time with an offset', async () => {
    await audit.record(entry());
    await server.people.control.clock.advance(60_000);
    await audit.record(entry());
    const since = encodeURIComponent('2026-01-07T12:00:30+02:00');
    expect((await records(`/audit?since=${since}`)).items.map(({ seq }) => seq)).toEqual([2]);
    expect((await records(`/audit?until=${since}`)).items.map(({ seq }) => seq)).toEqual([1]);
  });

  it.each(['limit=0', 'limit=201', 'cursor=x', 'result=maybe', 'since=yesterday', 'colour=red'])(
    'refuses ?%s',
    async (query) => {
      expect((await get(`/audit?${query}`)).status).toBe(422);
    },
  );

  it('shows somebody whose right is limited the records of their agents alone', async () => {
    for (const agentId of ['a1', 'a2', null]) await audit.record(entry({ agentId }));
    expect((await records('/audit', 'lab')).items.map(({ seq }) => seq)).toEqual([1]);
    expect((await records('/audit?agent=a2', 'lab')).items).toEqual([]);
  });

  it('is not for somebody without the right', async () => {
    expect((await get('/audit', 'viewer')).status).toBe(403);
  });
});

describe('GET /agents/{agent}/activity', () => {
  it('is the view of one agent, with the reason why something stopped', async () => {
    await audit.record(entry({ agentId: 'a2' }));
    await audit.record(entry({ agentId: 'a1', verb: 'task.run', result: 'failed', reason: 'timed_out' }));
    const { items } = await records('/agents/a1/activity');
    expect(items).toMatchObject([{ seq: 2, verb: 'task.run', reason: 'timed_out' }]);
    expect((await records('/agents/a1/activity?verb=agent.read')).items).toEqual([]);
  });

  it('of an agent that one may not see is not there', async () => {
    expect((await get('/agents/a2/activity', 'lab')).status).toBe(404);
    expect((await get('/agents/a1/activity', 'lab')).status).toBe(200);
    expect((await get('/agents/a1/activity', 'viewer')).status).toBe(403);
  });
});

describe('GET /audit/verify', () => {
  it('says what is wrong, and compares with an anchor', async () => {
    await fill(3);
    const verify = async (query = '') => AuditReport.parse(JSON.parse((await get(`/audit/verify${query}`)).body));
    const { last, last_hash: lastHash, ...report } = await verify();
    expect(report).toMatchObject({ ok: true, records: 3 });
    expect(await verify(`?expect=${last}:${lastHash}`)).toMatchObject({ ok: true });
    expect(await verify(`?expect=${last}:${'ab'.repeat(32)}`)).toMatchObject({ problems: [{ kind: 'rewritten' }] });
    expect((await get('/audit/verify?expect=3')).status).toBe(422);
  });

  it.each(['/audit/verify', '/audit/export'])('and export are not for a limited right: %s', async (path) => {
    expect((await get(path, 'lab')).status).toBe(403);
  });
});

describe('GET /audit/export', () => {
  it('sends everything, a line each, and is recorded itself', async () => {
    await fill(250);
    const { status, body } = await get('/audit/export');
    expect(status).toBe(200);
    // A header, the records, the checkpoint that was made for it.
    expect(body.trimEnd().split('\n')).toHaveLength(1 + 250 + 1);
    expect((await records('/audit?limit=1')).items).toMatchObject([
      { seq: 251, verb: 'audit.read', result: 'allowed' },
    ]);
  });

  it('waits for a reader who is slow, and ends the walk of one who goes', async () => {
    let pulled = 0;
    let isOver = false;
    async function* endless(): AsyncGenerator<string> {
      try {
        for (;;) {
          pulled += 1;
          yield `${'x'.repeat(65_535)}\n`;
        }
      } finally {
        isOver = true;
      }
    }
    audit.export = endless;
    await server.app.listen({ host: '127.0.0.1', port: 0 });
    const gone = new AbortController();
    const response = await fetchExport(gone.signal);
    await response.body?.getReader().read();
    await quiet(() => pulled);
    // What is read ahead is what sockets hold.
    expect(pulled).toBeLessThan(1_000);
    gone.abort();
    await eventually(() => isOver, { what: 'the walk to end' });
  });

  it('ends its walk when there is no answer, because it cannot be recorded', async () => {
    server.recordFails = new ControlError('store_unavailable', 'the audit log is closed');
    await server.app.listen({ host: '127.0.0.1', port: 0 });
    for (let count = 0; count <= AUDIT_LIMITS.walksMax; count += 1) {
      const response = await fetchExport();
      await response.text();
      expect(response.status).toBe(503);
      await eventually(async () => (await get('/audit/verify')).status === 200, { what: 'the walk to end' });
    }
  });

  it('is refused as an error, when it cannot begin', async () => {
    const walks = Array.from({ length: AUDIT_LIMITS.walksMax }, () => audit.export());
    await Promise.all(walks.map((lines) => lines.next()));
    expect((await get('/audit/export')).status).toBe(429);
    await Promise.all(walks.map((lines) => lines.return(undefined)));
  });
});

/** Resolves when a number has stopped changing. */
async function quiet(count: () => number): Promise<void> {
  let last = -1;
  await eventually(
    () => {
      const isSame = count() === last;
      last = count();
      return isSame;
    },
    { what: 'reading to pause' },
  );
}

async function auditLogOf({ control }: PeopleFixture): Promise<AuditLog> {
  const { db, log } = control.parts;
  const identity = await ServerIdentity.load(control.dir.join('server-identity.json'));
  return new AuditLog({ db, identity, clock: control.clock, log, retentionDays: 30 });
}

/** Finds; what it needs to change and to revoke is not here. */
function agentServiceOf({ control }: PeopleFixture): AgentService {
  return new AgentService({ db: control.parts.db } as ConstructorParameters<typeof AgentService>[0]);
}

async function fill(count: number): Promise<void> {
  for (let made = 1; made <= count; made += 1) await audit.record(entry({ requestId: `r${made}` }));
}

async function addAgent(agentId: string, site: string): Promise<void> {
  const row = newAgentRow({ agentId, name: agentId, labels: { site }, now: '2026-01-07T10:00:00.000Z' });
  await new AgentsRepository(server.people.control.parts.db).insert({ ...row, auth_token_hash: '' });
}
