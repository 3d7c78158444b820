import { X509Certificate, createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { SecureContextOptions } from 'node:tls';
import { ControlError } from '@drawbridge/protocol';

/** Where the server's certificate is, its key, and who signs clients' certificates: PEM files. */
export interface ServerTlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly ca?: string | undefined;
}

/** What the files held, checked: the key fits the certificate. */
export interface ServerTls {
  readonly context: SecureContextOptions;
  /** SHA-256 of the certificate, as openssl prints it. */
  readonly fingerprint: string;
  readonly validToMs: number;
}

/** Reads the files. Throws ControlError `invalid_request` that says which file is no good, and never what is in it. */
export function readServerTls(files: ServerTlsFiles): ServerTls {
  const cert = read('listen.tls.cert', files.cert);
  const key = read('listen.tls.key', files.key);
  const context: SecureContextOptions = {
    cert,
    key,
    ...(files.ca === undefined ? {} : { ca: read('listen.tls.ca', files.ca) }),
    minVersion: 'TLSv1.2',
  };
  const certificate = attempt('listen.tls.cert', files.cert, () => new X509Certificate(cert));
  const privateKey = attempt('listen.tls.key', files.key, () => createPrivateKey(key));
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new ControlError('invalid_request', `listen.tls.key: ${files.key} is not the key of ${files.cert}`);
  }
  attempt('listen.tls', files.ca ?? files.cert, () => createSecureContext(context));
  return { context, fingerprint: certificate.fingerprint256, validToMs: Date.parse(certificate.validTo) };
}

function read(setting: string, file: string): Buffer {
  return attempt(setting, file, () => readFileSync(file));
}

function attempt<T>(setting: string, file: string, use: () => T): T {
  try {
    return use();
  } catch (cause) {
    const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : 'not understood';
    throw new ControlError('invalid_request', `${setting}: ${file} cannot be used: ${reason}`, { cause });
  }
}
