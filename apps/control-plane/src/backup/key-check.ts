import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { ControlError } from '@drawbridge/protocol';
import type { BackupHeader } from '@drawbridge/protocol/api';
import { ServerIdentity } from '../identity/server-identity.ts';
import { SecretBox } from '../store/secret-box.ts';

/** The files that a backup is useless without, and does not hold. */
export const KEY_FILE = 'secret.key';
export const IDENTITY_FILE = 'server-identity.json';

/** The `key_check` of archives made under this master key; it reveals nothing of the key. */
export function keyCheckOf(box: SecretBox, serverId: string): string {
  return box.authenticate('backup key check', serverId);
}

/** The `mac` of an archive whose lines have this SHA-256. */
export function archiveMac(box: SecretBox, sha256: string): string {
  return box.authenticate('backup', sha256);
}

/** Who a restored control plane is, and what opens its sealed columns. */
export interface Keys {
  readonly identity: ServerIdentity;
  readonly box: SecretBox;
}

/** Reads both files in `dataDir`. Rejects with `conflict`, naming the file, when one is missing or not the backup's. */
export async function loadKeysFor(header: BackupHeader, dataDir: string): Promise<Keys> {
  const identityFile = join(dataDir, IDENTITY_FILE);
  const keyFile = join(dataDir, KEY_FILE);
  // Both would be made when they are not there, which is what must not happen here.
  for (const file of [identityFile, keyFile]) await assertThere(file);
  const identity = await ServerIdentity.load(identityFile);
  if (identity.serverId !== header.server_id || identity.publicKey !== header.public_key) {
    throw new ControlError(
      'conflict',
      `${identityFile} is another control plane's: the backup is of ${header.server_id}`,
    );
  }
  const box = await SecretBox.load(keyFile);
  if (keyCheckOf(box, header.server_id) !== header.key_check) {
    throw new ControlError('conflict', `${keyFile} is not the key that sealed what is in the backup`);
  }
  return { identity, box };
}

async function assertThere(file: string): Promise<void> {
  try {
    await access(file);
  } catch (cause) {
    const message = `${file} is missing: put the control plane's own there, from where it is kept beside its backups`;
    throw new ControlError('conflict', message, { cause });
  }
}
