import { TempDir } from '@drawbridge/testkit';
import { writeFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { readTlsFiles } from './tls-files.ts';

it('reads files, takes PEM texts as they are, and leaves the rest', async () => {
  await using dir = await TempDir.make();
  await writeFile(dir.join('ca.pem'), 'the CA');
  const pem = '-----BEGIN CERTIFICATE-----';
  expect(readTlsFiles({ ca: dir.join('ca.pem'), cert: pem, pin: 'sha256/x', verify: true })).toEqual({
    ca: 'the CA',
    cert: pem,
    key: undefined,
    pin: 'sha256/x',
    verify: true,
  });
});

it('names a file that is not there', () => {
  expect(() => readTlsFiles({ ca: '/no/such/ca.pem' })).toThrow(/^\/no\/such\/ca\.pem: ca: cannot be read: .*ENOENT/);
});
