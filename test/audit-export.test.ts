import { writeFile } from 'node:fs/promises';
import { runCli } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { AuditFixture } from '../apps/control-plane/src/audit/audit-fixture.ts';

it('an export of the control plane is verified by the command line alone, and its tampering is found', async () => {
  await using audit = await AuditFixture.make('sqlite');
  await audit.fill(30, 10);
  const path = audit.database.dir.join('export.ndjson');
  const text = (await Array.fromAsync(audit.log.export())).join('');
  await writeFile(path, text);
  const key = audit.identity.publicKey;
  const verify = () => runCli(['audit', 'verify', '--file', path, '--key', key, '--json']);

  const intact = await verify();
  expect(JSON.parse(intact.stdout)).toMatchObject({ ok: true, records: 30, checkpoints: 3, public_key: key });
  expect(intact.code).toBe(0);

  await writeFile(path, text.replace('"actor":"user:u1"', '"actor":"user:u2"'));
  const edited = await verify();
  expect(JSON.parse(edited.stdout)).toMatchObject({ ok: false, problems: [{ seq: 1, kind: 'edited' }] });
  expect(edited.code).toBe(1);
});
