// The texts that are signed with Ed25519. Each names what it is for, so that no signature can be used for another.

/** What the control plane signs in `hello`: it binds server, nonce and this very attempt of the agent. */
export function helloStatement(serverId: string, nonce: string, sessionId: string): string {
  return `drawbridge hello v1\n${serverId}\n${nonce}\n${sessionId}`;
}

/** What the control plane signs before an enrolling machine shows it the join token. */
export function identityStatement(serverId: string, nonce: string): string {
  return `drawbridge identity v1\n${serverId}\n${nonce}`;
}

/** What an enrolling machine signs: it holds the private half of the key it brings. */
export function enrolStatement(joinTokenId: string, publicKey: string): string {
  return `drawbridge enrol v1\n${joinTokenId}\n${publicKey}`;
}

/** What the control plane signs under its audit log: all records up to `seq`, by the hash of that one. */
export function auditCheckpointStatement(
  serverId: string,
  {
    seq,
    hash,
    at,
    count,
  }: { readonly seq: number; readonly hash: string; readonly at: string; readonly count: number },
): string {
  return `drawbridge audit checkpoint v1\n${serverId}\n${seq}\n${hash}\n${at}\n${count}`;
}
