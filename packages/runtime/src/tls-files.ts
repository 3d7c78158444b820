import { readFileSync } from 'node:fs';
import { configError } from './config-issue.ts';
import type { TlsIdentity } from './tls.ts';

/** A TlsIdentity whose certificates and keys are files, or PEM texts in place of their names. */
export type TlsFiles = TlsIdentity;

/** Reads the files. A file that cannot be read is a ControlError that names it. */
export function readTlsFiles({ ca, cert, key, pin, verify }: TlsFiles): TlsIdentity {
  return { ca: readPem('ca', ca), cert: readPem('cert', cert), key: readPem('key', key), pin, verify };
}

function readPem(key: string, fileOrPem: string | undefined): string | undefined {
  if (fileOrPem === undefined || fileOrPem.startsWith('-----BEGIN ')) return fileOrPem;
  try {
    return readFileSync(fileOrPem, 'utf8');
  } catch (error) {
    throw configError([{ source: fileOrPem, key, reason: `cannot be read: ${String(error)}` }]);
  }
}
