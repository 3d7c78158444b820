import { spawnSync } from 'node:child_process';

const URL_DEFAULT = 'postgres://postgres@127.0.0.1:5432/postgres';
const PROBE_TIMEOUT_MS = 30_000;

/** Connects, and says by its exit code whether that went well: a test asks before it is one, and cannot wait. */
const PROBE = `
  const socket = require('node:net').connect(Number(process.argv[2]) || 5432, process.argv[1]);
  socket.on('connect', () => process.exit(0)).on('error', () => process.exit(1));`;

let answer: boolean | undefined;

/** The PostgreSQL for tests, whose user may make schemas and databases: DRAWBRIDGE_TEST_POSTGRES_URL, or the one of this machine. */
export function postgresUrl(): string {
  return process.env['DRAWBRIDGE_TEST_POSTGRES_URL'] ?? URL_DEFAULT;
}

/** True when something takes connections where PostgreSQL should be. Asked once a process. */
export function isPostgresThere(): boolean {
  const { hostname, port } = new URL(postgresUrl());
  answer ??= spawnSync(process.execPath, ['-e', PROBE, hostname, port], { timeout: PROBE_TIMEOUT_MS }).status === 0;
  return answer;
}
