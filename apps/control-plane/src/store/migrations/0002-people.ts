import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import { uuidv7 } from '../uuid.ts';

/** What of the first version this migration reads. */
interface Before {
  agents: { agent_id: string; labels: string };
  api_tokens: { id: string; user_id: string; created_at: string };
  sign_in_sessions: { id_hash: string };
  agent_labels: { agent_id: string; key: string; value: string };
  users: { id: string; name: string; created_at: string; updated_at: string };
  role_bindings: { user_id: string; role: string; selector: string };
}

/** Users, roles and what is owned by whom; labels one row each, so that a selector is a query; Docker hosts. */
export async function up(untyped: Kysely<unknown>): Promise<void> {
  const db = untyped as Kysely<Before>;
  const { schema } = db;
  await schema
    .createTable('users')
    .addColumn('id', 'varchar(36)', (column) => column.primaryKey())
    .addColumn('name', 'varchar(63)', (column) => column.notNull().unique())
    .addColumn('password_hash', 'varchar(255)')
    .addColumn('disabled_at', 'varchar(24)')
    .addColumn('last_sign_in_at', 'varchar(24)')
    .addColumn('created_at', 'varchar(24)', (column) => column.notNull())
    .addColumn('updated_at', 'varchar(24)', (column) => column.notNull())
    .execute();
  await schema
    .createTable('roles')
    .addColumn('name', 'varchar(63)', (column) => column.primaryKey())
    .addColumn('description', 'varchar(255)', (column) => column.notNull())
    .addColumn('verbs', 'text', (column) => column.notNull())
    .addColumn('created_at', 'varchar(24)', (column) => column.notNull())
    .execute();
  await schema
    .createTable('role_bindings')
    .addColumn('user_id', 'varchar(36)', (column) => column.notNull().references('users.id'))
    .addColumn('role', 'varchar(63)', (column) => column.notNull())
    .addColumn('selector', 'varchar(2048)', (column) => column.notNull())
    .addPrimaryKeyConstraint('pk_role_bindings', ['user_id', 'role', 'selector'])
    .execute();
  await tokensAndSessions(db);
  await labelsAndHosts(db);
}

/** Tokens get an owner, a scope and an end; those there were are the admin's. Sessions of before belong to nobody and end. */
async function tokensAndSessions(db: Kysely<Before>): Promise<void> {
  const { schema } = db;
  await schema.alterTable('api_tokens').addColumn('user_id', 'varchar(36)').execute();
  await schema.alterTable('api_tokens').addColumn('verbs', 'text').execute();
  await schema
    .alterTable('api_tokens')
    .addColumn('selector', 'varchar(2048)', (column) => column.notNull().defaultTo(''))
    .execute();
  await schema.alterTable('api_tokens').addColumn('revoked_at', 'varchar(24)').execute();
  await schema.createIndex('idx_api_tokens_user').on('api_tokens').column('user_id').execute();

  await schema.dropTable('sign_in_sessions').execute();
  await schema
    .createTable('sign_in_sessions')
    .addColumn('id_hash', 'varchar(64)', (column) => column.primaryKey())
    .addColumn('user_id', 'varchar(36)', (column) => column.notNull().references('users.id'))
    .addColumn('label', 'varchar(128)', (column) => column.notNull())
    .addColumn('method', 'varchar(16)', (column) => column.notNull())
    .addColumn('address', 'varchar(64)')
    .addColumn('created_at', 'varchar(24)', (column) => column.notNull())
    .addColumn('last_used_at', 'varchar(24)', (column) => column.notNull())
    .addColumn('expires_at', 'varchar(24)', (column) => column.notNull())
    .execute();
  await schema.createIndex('idx_sign_in_sessions_user').on('sign_in_sessions').column('user_id').execute();

  const oldest = await db.selectFrom('api_tokens').select('created_at').orderBy('created_at').executeTakeFirst();
  if (oldest === undefined) return;
  const createdAt = oldest.created_at;
  const userId = uuidv7(Date.parse(createdAt));
  await db
    .insertInto('users')
    .values({ id: userId, name: 'admin', created_at: createdAt, updated_at: createdAt })
    .execute();
  await db.insertInto('role_bindings').values({ user_id: userId, role: 'admin', selector: '' }).execute();
  await db.updateTable('api_tokens').set({ user_id: userId }).execute();
}

async function labelsAndHosts(db: Kysely<Before>): Promise<void> {
  const { schema } = db;
  await schema
    .createTable('agent_labels')
    .addColumn('agent_id', 'varchar(255)', (column) => column.notNull().references('agents.agent_id'))
    .addColumn('key', 'varchar(63)', (column) => column.notNull())
    .addColumn('value', 'varchar(63)', (column) => column.notNull())
    .addPrimaryKeyConstraint('pk_agent_labels', ['agent_id', 'key'])
    .execute();
  await schema.createIndex('idx_agent_labels_key').on('agent_labels').columns(['key', 'value']).execute();
  for (const agent of await db.selectFrom('agents').select(['agent_id', 'labels']).execute()) {
    const labels = JSON.parse(agent.labels) as Record<string, string>;
    for (const [key, value] of Object.entries(labels)) {
      await db.insertInto('agent_labels').values({ agent_id: agent.agent_id, key, value }).execute();
    }
  }

  await schema
    .createTable('docker_hosts')
    .addColumn('id', 'varchar(36)', (column) => column.primaryKey())
    .addColumn('name', 'varchar(63)', (column) => column.notNull().unique())
    .addColumn('connection_mode', 'varchar(20)', (column) =>
      column
        .notNull()
        .defaultTo('direct')
        .check(sql`connection_mode in ('direct', 'agent')`),
    )
    .addColumn('agent_id', 'varchar(255)', (column) => column.references('agents.agent_id'))
    .addColumn('url', 'varchar(2048)')
    .addColumn('created_at', 'varchar(24)', (column) => column.notNull())
    .addColumn('updated_at', 'varchar(24)', (column) => column.notNull())
    .execute();
  await schema
    .alterTable('agents')
    .addColumn('host_id', 'varchar(36)', (column) => column.references('docker_hosts.id'))
    .execute();
  await schema.alterTable('agents').addColumn('machine_id', 'varchar(64)').execute();
  await schema.createIndex('idx_agents_machine').on('agents').column('machine_id').execute();
  // The table as Docker's own description of agents names it (S2-074..086): the same rows, its words.
  await sql`create view docker_agents as select agent_id as id, agent_id, host_id, auth_token_hash, status, version,
    capabilities, last_heartbeat, connected_at, disconnected_at, created_at, updated_at from agents`.execute(db);
}
