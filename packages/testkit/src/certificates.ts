import { execFile } from 'node:child_process';
import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** A certificate and its key, as PEM files and as PEM text. */
export interface TestCertificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
  /** `sha256/<base64>` of the SubjectPublicKeyInfo. */
  readonly pin: string;
}

/** A throw-away public key infrastructure, good for two days. */
export interface Pki {
  readonly ca: TestCertificate;
  readonly server: TestCertificate;
  /** The same names from the same CA with another key: a man in the middle whom only a pin gives away. */
  readonly impostor: TestCertificate;
  readonly client: TestCertificate;
}

/** What the server's certificate is for, besides localhost and 127.0.0.1. */
export interface PkiOptions {
  readonly names?: readonly string[];
  readonly addresses?: readonly string[];
}

const VALID_DAYS = '2';
const EC_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

const run = promisify(execFile);

/** Makes a CA, two server certificates and a client certificate in `dir`, with the openssl command. */
export async function makePki(dir: string, options: PkiOptions = {}): Promise<Pki> {
  const names = ['localhost', ...(options.names ?? [])].map((name) => `DNS:${name}`);
  const addresses = ['127.0.0.1', ...(options.addresses ?? [])].map((address) => `IP:${address}`);
  const serverUse = [`subjectAltName=${[...names, ...addresses].join(',')}`, 'extendedKeyUsage=serverAuth'];
  const ca = await makeCa(dir);
  return {
    ca,
    server: await makeLeaf(dir, 'server', serverUse),
    impostor: await makeLeaf(dir, 'impostor', serverUse),
    client: await makeLeaf(dir, 'client', ['extendedKeyUsage=clientAuth']),
  };
}

/** Whom a client certificate is made out to. */
export interface ClientNames {
  readonly commonName?: string;
  readonly uris?: readonly string[];
}

/** Makes another client certificate, signed by the CA that `makePki` made in `dir`. */
export function makeClientCertificate(dir: string, file: string, names: ClientNames = {}): Promise<TestCertificate> {
  const uris = (names.uris ?? []).map((uri) => `URI:${uri}`);
  const extensions = [
    'extendedKeyUsage=clientAuth',
    ...(uris.length === 0 ? [] : [`subjectAltName=${uris.join(',')}`]),
  ];
  return makeLeaf(dir, file, extensions, names.commonName);
}

/** The pin of a certificate: `sha256/<base64>` of its SubjectPublicKeyInfo. */
export function pinOf(certificate: string): string {
  const spki = new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' });
  return `sha256/${createHash('sha256').update(spki).digest('base64')}`;
}

async function makeCa(dir: string): Promise<TestCertificate> {
  const files = filesOf(dir, 'ca');
  // A configuration of our own: the machine's may add extensions a second time.
  const config = join(dir, 'ca.cnf');
  await writeFile(
    config,
    `[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = Drawbridge test CA
[extensions]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
`,
  );
  const output = ['-keyout', files.keyFile, '-out', files.certFile];
  await run('openssl', ['req', '-x509', ...EC_KEY, '-config', config, '-days', VALID_DAYS, ...output]);
  return read(files);
}

async function makeLeaf(
  dir: string,
  name: string,
  extensions: readonly string[],
  commonName = `Drawbridge test ${name}`,
): Promise<TestCertificate> {
  const files = filesOf(dir, name);
  const ca = filesOf(dir, 'ca');
  const request = join(dir, `${name}.csr`);
  const extensionsFile = join(dir, `${name}.ext`);
  await writeFile(extensionsFile, ['basicConstraints=critical,CA:FALSE', ...extensions, ''].join('\n'));
  const subject = ['-config', join(dir, 'ca.cnf'), '-subj', `/CN=${commonName}`];
  await run('openssl', ['req', '-new', ...EC_KEY, ...subject, '-keyout', files.keyFile, '-out', request]);
  // The leading byte keeps the number positive.
  const serial = ['-set_serial', `0x01${randomBytes(15).toString('hex')}`];
  const signer = ['-CA', ca.certFile, '-CAkey', ca.keyFile, ...serial, '-days', VALID_DAYS];
  await run('openssl', ['x509', '-req', '-in', request, ...signer, '-extfile', extensionsFile, '-out', files.certFile]);
  return read(files);
}

function filesOf(dir: string, name: string): Pick<TestCertificate, 'certFile' | 'keyFile'> {
  return { certFile: join(dir, `${name}.crt`), keyFile: join(dir, `${name}.key`) };
}

async function read(files: Pick<TestCertificate, 'certFile' | 'keyFile'>): Promise<TestCertificate> {
  const cert = await readFile(files.certFile, 'utf8');
  return { ...files, cert, key: await readFile(files.keyFile, 'utf8'), pin: pinOf(cert) };
}
