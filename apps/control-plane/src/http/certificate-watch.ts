import { statSync } from 'node:fs';
import type { Server } from 'node:http';
import { Server as HttpsServer } from 'node:https';
import type { Clock } from '@drawbridge/link';
import type { Logger } from '@drawbridge/runtime';
import { readServerTls } from './server-tls.ts';
import type { ServerTls, ServerTlsFiles } from './server-tls.ts';

/** Asking, not `fs.watch`: a mounted secret changes by a link far above the file. */
const POLL_MS = 5_000;
const WARN_BEFORE_MS = 14 * 86_400_000;
const WARN_EVERY_MS = 86_400_000;

export interface CertificateWatchOptions {
  readonly server: Server;
  /** Undefined: there is nothing to watch. */
  readonly files: ServerTlsFiles | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told of each certificate that takes the place of another: for listeners beside the server. */
  readonly onReplaced?: (tls: ServerTls) => void;
}

/**
 * Keeps a server's certificate up to date with its files until `signal` aborts: new connections get the new one, those there
 * are go on. What cannot be used is said once, and the old certificate stays. Warns daily in a certificate's last two weeks.
 */
export async function watchCertificate(options: CertificateWatchOptions, signal: AbortSignal): Promise<void> {
  const { server, files, clock, log } = options;
  if (files === undefined || !(server instanceof HttpsServer)) return;
  let inUse = readServerTls(files);
  let stampInUse = stampOf(files);
  let stampSeen = stampInUse;
  let warnedMs = Number.NEGATIVE_INFINITY;
  logCertificate(log, inUse, 'certificate in use');
  while (!signal.aborted) {
    if (inUse.validToMs - clock.now() < WARN_BEFORE_MS && clock.monotonic() - warnedMs >= WARN_EVERY_MS) {
      warnedMs = clock.monotonic();
      log.warn(
        { validTo: new Date(inUse.validToMs).toISOString(), file: files.cert },
        'the certificate expires soon, or has',
      );
    }
    await clock.sleep(POLL_MS, signal).catch(() => undefined);
    const stamp = stampOf(files);
    const isStable = stamp === stampSeen;
    stampSeen = stamp;
    // Two files are not written in one moment: what changed since the last look may be half of a pair.
    if (signal.aborted || stamp === stampInUse || !isStable) continue;
    stampInUse = stamp;
    try {
      inUse = replace(server, files, clock);
      options.onReplaced?.(inUse);
      warnedMs = Number.NEGATIVE_INFINITY;
      logCertificate(log, inUse, 'certificate replaced');
    } catch (error) {
      log.error({ err: error }, 'the new certificate cannot be used: the old one stays');
    }
  }
}

function replace(server: HttpsServer, files: ServerTlsFiles, clock: Clock): ServerTls {
  const next = readServerTls(files);
  if (next.validToMs <= clock.now()) throw new Error(`${files.cert} has expired`);
  server.setSecureContext(next.context);
  return next;
}

function logCertificate(log: Logger, { fingerprint, validToMs }: ServerTls, message: string): void {
  log.info({ fingerprint, validTo: new Date(validToMs).toISOString() }, message);
}

/** Changes when a file does; a missing one is a change too. Links are followed. */
function stampOf({ cert, key, ca }: ServerTlsFiles): string {
  return [cert, key, ca]
    .map((file) => {
      const stat = file === undefined ? undefined : statSync(file, { throwIfNoEntry: false, bigint: true });
      return stat === undefined ? '-' : `${stat.mtimeNs}:${stat.size}:${stat.ino}`;
    })
    .join(' ');
}
