import type { Migration } from '../migrator.ts';
import { up as core } from './0001-core.ts';
import { up as people } from './0002-people.ts';
import { up as audit } from './0003-audit.ts';
import { up as groups } from './0004-groups.ts';
import { up as health } from './0005-health.ts';
import { up as idempotency } from './0006-idempotency.ts';
import { up as tunnels } from './0007-tunnels.ts';

/** Every migration, in order. */
export const MIGRATIONS: readonly Migration[] = [
  { name: '0001-core', up: core },
  { name: '0002-people', up: people },
  { name: '0003-audit', up: audit },
  { name: '0004-groups', up: groups },
  { name: '0005-health', up: health },
  { name: '0006-idempotency', up: idempotency },
  { name: '0007-tunnels', up: tunnels },
];
