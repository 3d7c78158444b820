import { randomUUID } from 'node:crypto';
import { LIMITS } from '@drawbridge/protocol';
import { FakeClock } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { ControlPlaneFixture } from '../../control-plane-fixture.ts';
import { AgentsRepository } from '../agents-repository.ts';
import { CommandsRepository } from '../commands-repository.ts';
import { JournalsRepository } from '../journals-repository.ts';
import { isUniqueViolation } from '../statement-error.ts';
import { onEachEngine } from '../test-database-fixture.ts';
import { TokensRepository } from '../tokens-repository.ts';
import { uuidv7 } from '../uuid.ts';

const FACTS = { version: '1', os: null, arch: null, capabilities: '[]' };
const AT = '2026-01-07T11:00:00.000Z';
const ROUNDS = 25;

function times<T>(count: number, what: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => what(index)));
}

onEachEngine((engine) => {
  const make = () => ControlPlaneFixture.make(new FakeClock(), engine);

  it('stores no more commands of an agent than its bound, however many come at once', async () => {
    await using control = await make();
    const { db, commands } = control.parts;
    const agentId = await control.addAgent();
    const row = await control.create(agentId);
    const filler = Array.from({ length: LIMITS.commandsPerAgentMax - 11 }, (_, index) => ({
      ...row,
      id: uuidv7(index),
    }));
    for (let from = 0; from < filler.length; from += 100) {
      await db
        .insertInto('commands')
        .values(filler.slice(from, from + 100))
        .execute();
    }
    const outcomes = await Promise.allSettled(Array.from({ length: 40 }, () => control.create(agentId)));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(10);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'queue_full' });
    }
    await expect(commands.get(row.id)).resolves.toMatchObject({ state: 'queued' });
  });

  it('shows a new connection every command that an older one has moved', async () => {
    await using control = await make();
    const { db } = control.parts;
    for (let round = 0; round < ROUNDS; round += 1) {
      const agentId = await control.addAgent();
      const agents = new AgentsRepository(db);
      const epoch = (await agents.connect(agentId, FACTS, AT)) ?? 0;
      const row = await control.create(agentId);
      const move = db.transaction().execute(async (trx) => {
        const moved = await new CommandsRepository(trx).move({
          id: row.id,
          from: ['queued'],
          set: { state: 'delivered' },
          fence: { agentId, epoch },
        });
        // Time for the other one to come in between.
        await new AgentsRepository(trx).find(agentId);
        await new AgentsRepository(trx).find(agentId);
        return moved;
      });
      const connect = async () => {
        await agents.connect(agentId, FACTS, AT);
        return new CommandsRepository(db).ofAgent(agentId, ['delivered'], 10);
      };
      const [moved, seen] = await Promise.all([move, connect()]);
      expect({ round, moved: moved !== undefined }).toEqual({ round, moved: seen.length === 1 });
    }
  });

  it('gives every connection an epoch of its own, however many come at once', async () => {
    await using control = await make();
    const agentId = await control.addAgent();
    const agents = new AgentsRepository(control.parts.db);
    const epochs = await times(100, () => agents.connect(agentId, FACTS, AT));
    expect(new Set(epochs).size).toBe(100);
    expect(Math.max(...epochs.map(Number))).toBe(100);
  });

  it('moves a command once, of a hundred who want to', async () => {
    await using control = await make();
    const row = await control.create(await control.addAgent());
    const moves = await times(100, () =>
      control.parts.commands.move({ id: row.id, from: ['queued'], set: { state: 'cancelled' } }, undefined),
    );
    expect(moves.filter((moved) => moved !== undefined)).toHaveLength(1);
  });

  it('lets a join token be used as often as it says, of a hundred who try', async () => {
    await using control = await make();
    const tokens = new TokensRepository(control.parts.db);
    const id = randomUUID();
    await tokens.insertJoinToken({
      id,
      secret_hash: 'hash',
      labels: '{}',
      uses_left: 3,
      uses_max: 3,
      created_by: 'token:admin',
      created_at: AT,
      expires_at: '2100-01-01T00:00:00.000Z',
      revoked_at: null,
    });
    const uses = await times(100, () => tokens.useJoinToken(id, 'hash', AT));
    expect(uses.filter((used) => used !== undefined)).toHaveLength(3);
  });

  it('stores an event once, of fifty that bring it', async () => {
    await using control = await make();
    const agentId = await control.addAgent();
    const journalId = randomUUID();
    const { db } = control.parts;
    await times(10, () => new JournalsRepository(db).lastSeq(agentId, journalId, AT));
    const stored = await times(50, () => {
      const event = { id: randomUUID(), agentId, journalId, seq: 1, kind: 'warning', data: '{}' };
      return db.transaction().execute((trx) => new JournalsRepository(trx).append(event, AT));
    });
    expect(stored.filter(Boolean)).toHaveLength(1);
    expect(await new JournalsRepository(db).lastSeq(agentId, journalId, AT)).toBe(1);
  });

  it('gives a name to one of twenty agents that want it', async () => {
    await using control = await make();
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => control.addAgent('build-1')));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toSatisfy(isUniqueViolation);
    }
  });
});
