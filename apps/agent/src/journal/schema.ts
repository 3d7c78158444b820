/** The journal's tables. Additions come as further statements that do nothing when they have been run. */
export const SCHEMA = `
  CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS commands (
    id TEXT PRIMARY KEY,
    operation TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('cancelled', 'started', 'ended')),
    outcome TEXT,
    at_ms INTEGER NOT NULL
  );
  CREATE INDEX IF NOT EXISTS commands_by_state ON commands (state);
  CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, data TEXT NOT NULL);
`;
