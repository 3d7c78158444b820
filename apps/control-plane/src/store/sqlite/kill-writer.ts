import { systemClock } from '@drawbridge/link';
import { Kysely } from 'kysely';
import { openSqlite } from './open-sqlite.ts';
import { addAgent, type TestSchema } from './store-fixture.ts';

// Run by kill.test.ts: writes rows from several sides at once, says the name of each that was acknowledged, and never
// stops on its own.

const WRITERS = 8;
const [, , path = '', round = ''] = process.argv;

const store = await openSqlite({ path, clock: systemClock });
const db = new Kysely<TestSchema>({ dialect: store.dialect });
await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)));

async function write(writer: number): Promise<never> {
  for (let row = 0; ; row += 1) {
    const name = `${round}-${writer}-${row}`;
    if (writer % 2 === 0) await addAgent(db, name);
    else await db.transaction().execute((trx) => addAgent(trx, name));
    await new Promise<void>((resolve) => process.stdout.write(`${name}\n`, () => resolve()));
  }
}
