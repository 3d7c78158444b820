import { randomUUID } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { ControlError, LIMITS, OPERATIONS } from '@drawbridge/protocol';
import type { AgentMessage, CommandPayload, OperationName } from '@drawbridge/protocol';
import { FakeClock, settle, TempDir } from '@drawbridge/testkit';
import { memoryLog } from '@drawbridge/runtime/testing';
import { expect, it } from 'vitest';
import { heldHandler, openLink } from '../agent-fixture.ts';
import type { LinkFixture } from '../agent-fixture.ts';
import { Journal } from '../journal/journal.ts';
import { Executor } from './executor.ts';

const PING: CommandPayload = { operation: 'agent.ping', params: { echo: 'hello' }, remaining_ms: 5_000 };
const TASK: CommandPayload = {
  operation: 'task.start',
  params: { task_id: randomUUID(), provider: 'shell', instructions: 'true', timeout_seconds: 60 },
  remaining_ms: 5_000,
};
const CLOSE: CommandPayload = {
  operation: 'tunnel.close',
  params: { tunnel_id: randomUUID(), reason: 'done' },
  remaining_ms: 5_000,
};

interface FixtureOptions {
  readonly isAllowed?: (operation: string) => boolean;
  /** SQL: the writes of a command's row that fail, as on a full disk. */
  readonly brokenWrites?: string;
}

/** Makes a journal in which some writes fail. Each attempt is counted in `attempts`. */
function breakWrites(path: string, condition: string): void {
  Journal.open(path, () => 0)[Symbol.dispose]();
  const raw = new DatabaseSync(path);
  raw.exec('CREATE TABLE attempts (n)');
  for (const change of ['INSERT', 'UPDATE']) {
    raw.exec(`
      CREATE TRIGGER broken_${change} BEFORE ${change} ON commands WHEN ${condition} BEGIN
        INSERT INTO attempts VALUES (1);
        SELECT RAISE(FAIL, 'database or disk is full');
      END
    `);
  }
  raw.close();
}

/** An agent's command side: what dies with its process is made anew by `restart`, the journal's file stays. */
async function fixture({ isAllowed = () => true, brokenWrites }: FixtureOptions = {}) {
  const dir = await TempDir.make();
  if (brokenWrites !== undefined) breakWrites(dir.join('journal.db'), brokenWrites);
  const clock = new FakeClock();
  const { log, lines } = memoryLog();
  const boot = () => {
    const journal = Journal.open(dir.join('journal.db'), () => clock.now());
    const operation = heldHandler();
    const names = Object.keys(OPERATIONS) as OperationName[];
    const handlers = Object.fromEntries(names.map((name) => [name, operation.handler])) as Record<
      OperationName,
      typeof operation.handler
    >;
    return { journal, operation, executor: new Executor({ journal, clock, log, isAllowed, handlers }) };
  };
  const agent = { ...boot() };
  return {
    agent,
    clock,
    lines,
    restart() {
      agent.journal[Symbol.dispose]();
      Object.assign(agent, boot());
    },
    async connect(): Promise<LinkFixture> {
      const link = await openLink(undefined, clock);
      agent.executor.linkUp(link.link);
      await settle();
      return link;
    },
    async [Symbol.asyncDispose]() {
      agent.journal[Symbol.dispose]();
      await dir[Symbol.asyncDispose]();
    },
  };
}

/** What the agent said about commands: acks and outcomes, in order. */
function said({ heard }: LinkFixture): string[] {
  return heard.map((message) => {
    if (message.type === 'ack') return 'started';
    return message.type === 'command_response' ? statusOf(message) : message.type;
  });
}

function statusOf({ payload }: Extract<AgentMessage, { type: 'command_response' }>): string {
  return payload.status === 'error' ? payload.error.code : payload.status;
}

it('journals, acknowledges, runs and answers, in this order', async () => {
  await using it = await fixture();
  const id = randomUUID();
  const link = await it.connect();
  it.agent.executor.receive(id, PING);
  expect(it.agent.journal.find(id)).toEqual({ state: 'started', operation: 'agent.ping' });
  expect(it.agent.operation.runs).toEqual([{ echo: 'hello' }]);
  await settle();
  expect(said(link)).toEqual(['started']);
  await it.agent.operation.succeed({ echo: 'hello' });
  expect(link.heard.at(-1)).toMatchObject({ id, payload: { status: 'success', data: { echo: 'hello' } } });
  expect(it.agent.journal.find(id)).toMatchObject({ state: 'ended', outcome: { status: 'success' } });
});

it('runs a repeated command once, while it runs and after it', async () => {
  await using it = await fixture();
  const id = randomUUID();
  const link = await it.connect();
  it.agent.executor.receive(id, TASK);
  it.agent.executor.receive(id, TASK);
  await it.agent.operation.succeed({});
  it.agent.executor.receive(id, TASK);
  it.agent.executor.acknowledged(id);
  it.agent.executor.receive(id, TASK);
  await settle();
  expect(it.agent.operation.runs).toHaveLength(1);
  expect(said(link)).toEqual(['started', 'started', 'success', 'success', 'indeterminate']);
});

it('tells an outcome again on every link until it is acknowledged', async () => {
  await using it = await fixture();
  const id = randomUUID();
  it.agent.executor.receive(id, PING);
  await it.agent.operation.succeed({ echo: 'hello' });
  for (const _time of [1, 2]) {
    const link = await it.connect();
    expect(link.heard).toMatchObject([{ id, payload: { status: 'success', data: { echo: 'hello' } } }]);
    it.agent.executor.linkDown();
  }
  it.restart();
  expect(said(await it.connect())).toEqual(['success']);
  it.agent.executor.acknowledged(id);
  expect(said(await it.connect())).toEqual([]);
});

it('never runs what was cancelled before it came, and says so', async () => {
  await using it = await fixture();
  const id = randomUUID();
  const link = await it.connect();
  it.agent.executor.cancel(id);
  it.restart();
  it.agent.executor.linkUp(link.link);
  it.agent.executor.receive(id, TASK);
  await settle();
  expect(it.agent.operation.runs).toEqual([]);
  expect(link.heard).toMatchObject([{ id, payload: { status: 'cancelled' } }]);
  expect(it.agent.journal.unacknowledged()).toHaveLength(1);
});

it('cancels what runs', async () => {
  await using it = await fixture();
  const id = randomUUID();
  const link = await it.connect();
  it.agent.executor.receive(id, PING);
  it.agent.executor.cancel(id);
  await settle();
  expect(said(link)).toEqual(['started', 'cancelled']);
});

it('lets an outcome stand that a cancel comes too late for', async () => {
  await using it = await fixture();
  const id = randomUUID();
  it.agent.executor.receive(id, PING);
  await it.agent.operation.succeed(1);
  it.agent.executor.cancel(id);
  expect(said(await it.connect())).toEqual(['success']);
});

it('does not know what came of a `once` command its predecessor started, and does not run it again', async () => {
  await using it = await fixture();
  const id = randomUUID();
  it.agent.executor.receive(id, TASK);
  it.restart();
  const link = await it.connect();
  it.agent.executor.receive(id, TASK);
  await settle();
  expect(it.agent.operation.runs).toEqual([]);
  expect(said(link)).toEqual(['indeterminate', 'indeterminate']);
  expect(it.lines).toContainEqual(expect.objectContaining({ level: 'warn', commandId: id }));
});

it.each([
  ['read', PING],
  ['idempotent', CLOSE],
])('runs a %s command again that its predecessor started', async (_effect, command) => {
  await using it = await fixture();
  const id = randomUUID();
  it.agent.executor.receive(id, command);
  it.restart();
  const link = await it.connect();
  expect(said(link)).toEqual([]);
  it.agent.executor.receive(id, command);
  await it.agent.operation.succeed({});
  expect(it.agent.operation.runs).toHaveLength(1);
  expect(said(link)).toEqual(['started', 'success']);
});

it('does not run again what its predecessor started and what was cancelled since', async () => {
  await using it = await fixture();
  const id = randomUUID();
  it.agent.executor.receive(id, CLOSE);
  it.restart();
  const link = await it.connect();
  it.agent.executor.cancel(id);
  it.agent.executor.receive(id, CLOSE);
  await settle();
  expect(it.agent.operation.runs).toEqual([]);
  expect(said(link)).toEqual(['cancelled']);
});

it('is asked for the outcome of a command that its journal does not know', async () => {
  await using it = await fixture();
  const id = randomUUID();
  const link = await it.connect();
  it.agent.executor.receive(id, { operation: 'task.start', remaining_ms: 0 });
  it.agent.executor.receive(id, TASK);
  await settle();
  expect(it.agent.operation.runs).toEqual([]);
  expect(said(link)).toEqual(['indeterminate', 'indeterminate']);
});

it.each([
  ['an operation it does not know', { ...PING, operation: 'machine.explode' }, 'unsupported'],
  ['an inherited name', { ...PING, operation: 'toString' }, 'unsupported'],
  ['an operation its file forbids', { ...CLOSE }, 'operation_not_allowed'],
  ['parameters that are none', { ...PING, params: { echo: 7 } }, 'invalid_request'],
])('refuses %s for good, without a start', async (_name, command, code) => {
  await using it = await fixture({ isAllowed: (operation) => operation !== 'tunnel.close' });
  const id = randomUUID();
  const link = await it.connect();
  it.agent.executor.receive(id, command);
  it.agent.executor.receive(id, command);
  await settle();
  expect(it.agent.operation.runs).toEqual([]);
  expect(said(link)).toEqual([code, code]);
  expect(it.agent.journal.find(id)).toMatchObject({ state: 'ended' });
});

it('does not run what it cannot journal, and says so', async () => {
  await using it = await fixture({ brokenWrites: "NEW.state = 'started'" });
  const id = randomUUID();
  const link = await it.connect();
  it.agent.executor.receive(id, TASK);
  await settle();
  expect(it.agent.operation.runs).toEqual([]);
  expect(said(link)).toEqual(['journal_unavailable']);
});

it('tells an outcome once it could be written, and not before', async () => {
  await using it = await fixture({ brokenWrites: "NEW.state = 'ended' AND (SELECT count(*) FROM attempts) < 2" });
  const link = await it.connect();
  it.agent.executor.receive(randomUUID(), PING);
  await it.agent.operation.succeed({});
  await it.clock.advance(1_000);
  expect(said(link)).toEqual(['started']);
  await it.clock.advance(1_000);
  expect(said(link)).toEqual(['started', 'success']);
  expect(it.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
});

it('survives a journal that takes neither a cancel nor an acknowledgement', async () => {
  await using it = await fixture({ brokenWrites: 'true' });
  it.agent.executor.cancel(randomUUID());
  it.agent.executor.acknowledged(randomUUID());
  expect(it.lines).toMatchObject([{ level: 'error', msg: 'cancel not journalled' }]);
});

it('ends what takes longer than it may with command_timeout', async () => {
  await using it = await fixture();
  const link = await it.connect();
  it.agent.executor.receive(randomUUID(), { ...PING, remaining_ms: 5_000 });
  await it.clock.advance(4_999);
  expect(said(link)).toEqual(['started']);
  await it.clock.advance(1);
  expect(said(link)).toEqual(['started', 'command_timeout']);
});

it('leaves the time of a task to the task', async () => {
  await using it = await fixture();
  const link = await it.connect();
  it.agent.executor.receive(randomUUID(), { ...TASK, remaining_ms: 0 });
  await it.clock.advance(40_000);
  expect(said(link)).toEqual(['started']);
  await it.agent.operation.succeed({});
  expect(said(link)).toEqual(['started', 'success']);
});

it.each([
  ['an expected failure', new ControlError('conflict', 'taken'), 'conflict'],
  ['a bug', new TypeError('secret detail'), 'internal'],
  ['not knowing', new ControlError('indeterminate', 'who knows'), 'indeterminate'],
])('answers %s', async (_name, error, status) => {
  await using it = await fixture();
  const link = await it.connect();
  it.agent.executor.receive(randomUUID(), PING);
  await it.agent.operation.fail(error);
  expect(said(link)).toEqual(['started', status]);
  expect(JSON.stringify(link.heard)).not.toContain('secret detail');
});

it('answers an operation that has nothing to say', async () => {
  await using it = await fixture();
  const id = randomUUID();
  it.agent.executor.receive(id, PING);
  await it.agent.operation.succeed(undefined);
  const link = await it.connect();
  expect(link.heard).toMatchObject([{ id, payload: { status: 'success', data: null } }]);
});

it('answers result_too_large instead of what fits no message, and the link lives', async () => {
  await using it = await fixture();
  const link = await it.connect();
  it.agent.executor.receive(randomUUID(), PING);
  await it.agent.operation.succeed('€'.repeat(LIMITS.resultBytesMax / 3 + 1));
  expect(said(link)).toEqual(['started', 'result_too_large']);
  expect(said(await it.connect())).toEqual(['result_too_large']);
});

it('drains: takes nothing new, and is done when what runs has its outcome on disk', async () => {
  await using it = await fixture();
  const [running, late] = [randomUUID(), randomUUID()];
  const link = await it.connect();
  it.agent.executor.receive(running, PING);
  let isDrained = false;
  const drained = it.agent.executor.drain().then(() => (isDrained = true));
  it.agent.executor.receive(late, PING);
  await settle();
  expect(isDrained).toBe(false);
  expect(it.agent.journal.find(late)).toBeUndefined();
  await it.agent.operation.succeed({});
  await drained;
  expect(it.agent.journal.find(running)).toMatchObject({ state: 'ended' });
  expect(said(link)).toEqual(['started', 'success']);
});

it('leaves no timer behind', async () => {
  await using it = await fixture();
  it.agent.executor.receive(randomUUID(), PING);
  expect(it.clock.pending).toBe(1);
  await it.agent.operation.succeed({});
  expect(it.clock.pending).toBe(0);
});
