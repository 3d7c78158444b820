import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { Gzip } from 'node:zlib';
import type { Clock } from '@drawbridge/link';
import { ControlError } from '@drawbridge/protocol';
import { BACKUP_VERSION } from '@drawbridge/protocol/api';
import type { BackupHeader, BackupTrailer } from '@drawbridge/protocol/api';
import type { Logger } from '@drawbridge/runtime';
import type { ServerIdentity } from '../identity/server-identity.ts';
import { migrationsRun } from '../store/migrator.ts';
import type { SecretBox } from '../store/secret-box.ts';
import type { Snapshot, Store } from '../store/store.ts';
import { timestamp } from '../store/timestamp.ts';
import { archiveLines } from './archive-lines.ts';
import { archiveMac, keyCheckOf } from './key-check.ts';
import { BACKUP_LIMITS } from './limits.ts';

/** What backups are made of. */
export interface BackupsOptions {
  readonly store: Pick<Store, 'engine' | 'snapshot'>;
  readonly box: SecretBox;
  readonly identity: ServerIdentity;
  readonly clock: Clock;
  readonly log: Logger;
}

/** An archive as it is made, and what it is called. */
export interface Backup {
  readonly name: string;
  /** Gzip. Destroying it breaks the backup off; it fails when the backup does. */
  readonly archive: Readable;
}

/** Takes backups of the store while it is worked on, one at a time. Disposing breaks the one under way off. */
export class Backups implements AsyncDisposable {
  readonly #options: BackupsOptions;
  #underWay: { end: (reason: Error) => void; readonly over: Promise<unknown> } | undefined;
  #isStopped = false;

  constructor(options: BackupsOptions) {
    this.#options = options;
  }

  /** Resolves when the moment it shows is settled. Rejects with `conflict` while another one is taken. */
  async take(): Promise<Backup> {
    if (this.#underWay !== undefined) throw new ControlError('conflict', 'another backup is being taken');
    if (this.#isStopped) throw stopping();
    const { promise: over, resolve: finish } = Promise.withResolvers<void>();
    let ended: Error | undefined;
    const underWay = { end: (reason: Error) => void (ended = reason), over };
    this.#underWay = underWay;
    try {
      const createdAt = timestamp(this.#options.clock);
      const snapshot = await this.#options.store.snapshot();
      const gzip = createGzip();
      // Nobody may listen to it yet.
      gzip.on('error', () => undefined);
      underWay.end = (reason) => void gzip.destroy(reason);
      if (ended !== undefined) gzip.destroy(ended);
      void this.#fill(gzip, snapshot, createdAt, finish);
      return { name: `drawbridge-${createdAt.replace(/[-:]|\.\d+/g, '')}.backup`, archive: gzip };
    } catch (error) {
      this.#done(finish);
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopped = true;
    this.#underWay?.end(stopping());
    await this.#underWay?.over;
  }

  #done(finish: () => void): void {
    this.#underWay = undefined;
    finish();
  }

  /** Never rejects: `gzip` tells its reader. */
  async #fill(gzip: Gzip, snapshot: Snapshot, createdAt: string, finish: () => void): Promise<void> {
    const { clock, log } = this.#options;
    const startedMs = clock.monotonic();
    try {
      await using held = snapshot;
      await pipeline(this.#hurried(await this.#lines(held, createdAt), gzip), gzip, { end: false });
    } catch (error) {
      gzip.destroy(error instanceof Error ? error : undefined);
      log.warn({ err: error }, 'backup broken off');
      return;
    } finally {
      this.#done(finish);
    }
    // Last, so that who has read the end finds the next one may begin.
    gzip.end();
    log.info({ bytes: gzip.bytesWritten, durationMs: Math.round(clock.monotonic() - startedMs) }, 'backup taken');
  }

  async #lines({ db }: Snapshot, createdAt: string): Promise<AsyncGenerator<string, BackupTrailer['rows']>> {
    const { store, identity, box } = this.#options;
    const header: BackupHeader = {
      format: 'drawbridge-backup',
      version: BACKUP_VERSION,
      created_at: createdAt,
      server_id: identity.serverId,
      public_key: identity.publicKey,
      key_check: keyCheckOf(box, identity.serverId),
      engine: store.engine,
      migrations: await migrationsRun(db),
    };
    return archiveLines(db, header, (sha256) => archiveMac(box, sha256));
  }

  /** The lines, as long as they are taken: a reader who stands still would keep the snapshot for ever. */
  async *#hurried(lines: AsyncGenerator<string>, gzip: Readable): AsyncGenerator<string> {
    const { clock } = this.#options;
    const ms = BACKUP_LIMITS.readerPauseMsMax;
    for await (const text of lines) {
      const timer = clock.after(ms, () => gzip.destroy(new Error(`nobody has read on for ${ms} ms`)));
      try {
        yield text;
      } finally {
        timer.cancel();
      }
    }
  }
}

function stopping(): ControlError {
  return new ControlError('server_draining', 'the control plane is stopping');
}
