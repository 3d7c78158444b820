import { darwinProcessTable } from './process-table-darwin.ts';
import { linuxProcessTable } from './process-table-linux.ts';
import type { ProcessTable } from './process-table.ts';

/** The process table of this machine. */
export function systemProcessTable(platform: NodeJS.Platform = process.platform): ProcessTable {
  return platform === 'darwin' ? darwinProcessTable : linuxProcessTable();
}
