import type { X509Certificate } from 'node:crypto';
import { TLSSocket } from 'node:tls';
import type { Duplex } from 'node:stream';
import { ControlError } from '@drawbridge/protocol';
import { isUuid } from '../store/uuid.ts';

/** A URI of a certificate's subject alternative names that names an agent. */
const AGENT_URI = /^urn:(?:drawbridge:agent|uuid):(?<agentId>[0-9a-fA-F-]{36})$/;
/** One entry of Node's text for these names: what is unusual in a value is quoted as JSON. */
const ENTRY = /(?<kind>[^:,]+):(?<value>"(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/y;

/** Throws ControlError `auth_failed` when a client showed a certificate that our `listen.tls.ca` has not signed. */
export function requireTrustedCertificate(socket: Duplex): void {
  if (!(socket instanceof TLSSocket) || socket.authorized) return;
  if (socket.getPeerX509Certificate() === undefined) return;
  throw new ControlError('auth_failed', `the client certificate is not trusted: ${String(socket.authorizationError)}`);
}

/**
 * Binds an agent to its certificate. One that names agents, by a URI `urn:drawbridge:agent:<id>` or `urn:uuid:<id>` of its
 * subject alternative names or by a common name that is an id, is good for these agents only. One that names none vouches for
 * no agent in particular. Throws ControlError `auth_failed`.
 */
export function requireCertificateOf(agentId: string, socket: Duplex): void {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return;
  const named = agentsNamedBy(socket.getPeerX509Certificate());
  if (named.size === 0 || named.has(agentId.toLowerCase())) return;
  throw new ControlError('auth_failed', 'the client certificate names another agent');
}

/** The ids of the agents a certificate names. */
export function agentsNamedBy(certificate: Pick<X509Certificate, 'subject' | 'subjectAltName'> | undefined) {
  const agents = new Set<string>();
  if (certificate === undefined) return agents;
  for (const line of (certificate.subject ?? '').split('\n')) {
    const name = line.startsWith('CN=') ? line.slice('CN='.length) : '';
    if (isUuid(name.toLowerCase())) agents.add(name.toLowerCase());
  }
  for (const { groups } of (certificate.subjectAltName ?? '').matchAll(new RegExp(ENTRY, 'gy'))) {
    const agentId = groups?.['kind'] === 'URI' ? AGENT_URI.exec(groups['value'] ?? '')?.groups?.['agentId'] : undefined;
    if (agentId !== undefined) agents.add(agentId.toLowerCase());
  }
  return agents;
}
