/** The bounds of backups. */
export const BACKUP_LIMITS = {
  /** Whoever takes a backup reads on within this time, or it is broken off: it holds a snapshot. */
  readerPauseMsMax: 60_000,
  /** A restore is one transaction, which waits for the archive to be read. */
  restorePauseMsMax: 60 * 60_000,
  /** Rows of the archive that are put into the store together. */
  restoreRowsMax: 100,
  /** Characters of such rows, as they are in the archive. */
  restoreCharactersMax: 4_000_000,
} as const;
