import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Kysely } from 'kysely';
import { expect, it } from 'vitest';
import { openSqlite } from './open-sqlite.ts';
import { agentNames, openTestStore, type TestSchema } from './store-fixture.ts';

const WRITER = fileURLToPath(new URL('./kill-writer.ts', import.meta.url));

// Whoever finds the file taken waits 5 s for it, three times.
it('has every acknowledged row after the process was killed, several times over', { timeout: 60_000 }, async () => {
  await using test = await openTestStore();
  await test.store.close();
  const acknowledged: string[] = [];
  for (const rows of [1, 40, 400]) {
    acknowledged.push(...(await writeAndKill(test.path, rows)));
    await using store = await openSqlite({ path: test.path, clock: test.clock });
    const names = new Set(await agentNames(new Kysely<TestSchema>({ dialect: store.dialect })));
    expect(acknowledged.filter((name) => !names.has(name))).toEqual([]);
  }
  expect(acknowledged.length).toBeGreaterThanOrEqual(441);
});

/** Kills a writer after it has acknowledged at least `rows` rows, and returns all it said. */
async function writeAndKill(path: string, rows: number): Promise<string[]> {
  const child = spawn(process.execPath, [WRITER, path, String(rows)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'close');
  let said = '';
  let refusal: unknown;
  child.stdout.setEncoding('utf8');
  for await (const text of child.stdout) {
    said += String(text);
    if (child.killed || said.split('\n').length <= rows) continue;
    // While it runs, the file is its own, from another process too.
    refusal ??= await openSqlite({ path, clock: { after: neverAfter, monotonic: () => 0 } }).catch(
      (error: unknown) => error,
    );
    child.kill('SIGKILL');
  }
  expect(await exited).toEqual([null, 'SIGKILL']);
  expect(refusal).toMatchObject({ code: 'conflict', message: `another control plane runs on ${path}` });
  // The last line may be cut.
  return said.split('\n').slice(0, -1);
}

function neverAfter(): never {
  throw new Error('no transaction is opened here');
}
