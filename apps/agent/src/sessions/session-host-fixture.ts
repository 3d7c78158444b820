import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { systemClock } from '@drawbridge/link';
import type { Channel, Clock } from '@drawbridge/link';
import { SessionInfo } from '@drawbridge/protocol';
import { TempDir } from '@drawbridge/testkit';
import { memoryLog } from '@drawbridge/runtime/testing';
import { makeDataDir } from '@drawbridge/runtime';
import { PipePool } from '../tasks/pipe-pool.ts';
import { systemProcessTable } from '../tasks/system-process-table.ts';
import { HostClient } from './host-client.ts';
import { hostSocketOf, sessionsDirOf } from './host-socket.ts';
import { SessionHost } from './session-host.ts';
import { SessionTable } from './session-table.ts';
import type { SessionSettings, WantedSession } from './session-table.ts';

const SETTINGS: SessionSettings = {
  shell: '/bin/sh',
  ringBytes: 1_048_576,
  ttlMs: 86_400_000,
  runningMax: 64,
  runningOfOneMax: 32,
};

/** For tests: a session host in this process, and an agent's end of it. */
export class HostWorld implements AsyncDisposable {
  readonly sessions: SessionTable;
  readonly client: HostClient;
  readonly #dir: TempDir;
  readonly #pipes: PipePool;
  readonly #host: SessionHost;

  private constructor(parts: {
    sessions: SessionTable;
    client: HostClient;
    dir: TempDir;
    pipes: PipePool;
    host: SessionHost;
  }) {
    this.sessions = parts.sessions;
    this.client = parts.client;
    this.#dir = parts.dir;
    this.#pipes = parts.pipes;
    this.#host = parts.host;
  }

  /** `clock` is that of the sessions alone. */
  static async make(clock: Clock = systemClock): Promise<HostWorld> {
    const dir = await TempDir.make();
    const env = { PATH: process.env['PATH'] ?? '', HOME: dir.path };
    const { log } = memoryLog();
    makeDataDir(sessionsDirOf(dir.path));
    const pipes = new PipePool(join(dir.path, 'sessions'));
    const sessions = new SessionTable({ clock, pipes, table: systemProcessTable(), env });
    const host = await SessionHost.listen(hostSocketOf(dir.path), { sessions, clock: systemClock, log });
    const client = new HostClient({ dataDir: dir.path, env, clock: systemClock, log });
    return new HostWorld({ sessions, client, dir, pipes, host });
  }

  get socketPath(): string {
    return hostSocketOf(this.#dir.path);
  }

  async create(wanted: Partial<WantedSession> = {}, settings: Partial<SessionSettings> = {}): Promise<SessionInfo> {
    const session = { session_id: randomUUID(), created_by: 'user:1', created_by_name: 'ann', ...wanted };
    const params = { session, settings: { ...SETTINGS, ...settings } };
    return SessionInfo.parse(await this.client.ask({ operation: 'create', params }, never));
  }

  attach(sessionId: string, how: Record<string, unknown> = {}): Promise<Channel> {
    return this.client.attach({ session_id: sessionId, actor: 'ann', ...how }, never);
  }

  async end(sessionId: string): Promise<SessionInfo> {
    return SessionInfo.parse(await this.client.ask({ operation: 'end', params: { session_id: sessionId } }, never));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client[Symbol.asyncDispose]();
    await this.#host[Symbol.asyncDispose]();
    this.#pipes[Symbol.dispose]();
    await this.#dir[Symbol.asyncDispose]();
  }
}

/** For tests: all output of a channel until it ends, with what was said to be gone. */
export async function outputOf(channel: Channel): Promise<{ text: string; gaps: unknown[] }> {
  const parts: Uint8Array[] = [];
  const gaps: unknown[] = [];
  for await (const item of channel) {
    if (item.kind === 'data') parts.push(item.bytes);
    else if (item.kind === 'control') gaps.push(item.value);
  }
  return { text: Buffer.concat(parts).toString('latin1'), gaps };
}

const never = new AbortController().signal;
