import { type X509Certificate, hash } from 'node:crypto';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, type TLSSocket, connect } from 'node:tls';
import { DialError } from './dial-error.ts';

/** How a server proves who it is, and how we do. PEM texts, not paths. */
export interface TlsIdentity {
  /** The authorities to trust instead of the system's. */
  readonly ca?: string | undefined;
  /** `sha256/…` of the server's public key. Without `ca` the pin alone decides; with it both must hold. */
  readonly pin?: string | undefined;
  /** Our certificate and its key, for a server that demands them. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** `false`: any certificate will do. A pin still counts. */
  readonly verify?: boolean | undefined;
}

/** TLS on top of `transport`, once the server has proven who it is: before that not a byte of ours is sent. */
export function startTls(
  transport: Duplex,
  host: string,
  identity: TlsIdentity,
  signal: AbortSignal,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...optionsFor(identity),
      socket: transport,
      servername: isIP(host) === 0 ? host : '',
      host,
    });
    const settle = (done: () => void) => {
      signal.removeEventListener('abort', aborted);
      done();
    };
    const fail = (error: unknown) => {
      settle(() => reject(error));
      socket.destroy();
      transport.destroy();
    };
    const aborted = () => fail(signal.reason);
    signal.addEventListener('abort', aborted, { once: true });
    // Stays for good: a socket nobody reads yet must not take the process down.
    socket.on('error', fail);
    socket.once('secureConnect', () => {
      const found = pinOf(socket.getPeerX509Certificate());
      if (identity.pin === undefined || identity.pin === found) settle(() => resolve(socket));
      else fail(new DialError('pin', `${host} has the key ${found}, pinned is ${identity.pin}`));
    });
  });
}

/** The pin of a certificate: `sha256/` and the SHA-256 of its public key (SPKI) in base64. */
export function pinOf(certificate: X509Certificate | undefined): string {
  if (certificate === undefined) return 'none';
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' });
  return `sha256/${hash('sha256', spki, 'base64')}`;
}

function optionsFor({ ca, pin, cert, key, verify = true }: TlsIdentity): ConnectionOptions {
  const pinAlone = pin !== undefined && ca === undefined;
  return {
    minVersion: 'TLSv1.2',
    // A pin stands for the whole chain: a self-signed certificate with the right key is as good as any.
    rejectUnauthorized: verify && !pinAlone,
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  };
}
