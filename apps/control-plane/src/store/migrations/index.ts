import type { Migration } from '../migrator.ts';
import { up as core } from './0001-core.ts';

/** Every migration, in order. */
export const MIGRATIONS: readonly Migration[] = [{ name: '0001-core', up: core }];
