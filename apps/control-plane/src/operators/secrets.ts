import { createHash, randomBytes } from 'node:crypto';

/** 32 random bytes, base64url. */
export function newSecret(): string {
  return randomBytes(32).toString('base64url');
}

/** What is stored of a secret: SHA-256, hex. Secrets are random, so a slow hash would add nothing. */
export function secretHash(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** `dbt_<id>_<secret>_<checksum>`: the id names the token in lists, the checksum tells a typo from a token (security.md). */
export function newApiToken(id: string): string {
  const body = `dbt_${id.replaceAll('-', '')}_${newSecret()}`;
  return `${body}_${checksum(body)}`;
}

/** False for a token of ours that was cut or mistyped; a bootstrap token has no checksum and is taken as it is. */
export function isWholeApiToken(token: string): boolean {
  const match = /^(dbt_[0-9a-f]{32}_[A-Za-z0-9_-]{43})_([0-9a-f]{8})$/.exec(token);
  return match === null || checksum(match[1] ?? '') === match[2];
}

function checksum(body: string): string {
  return secretHash(body).slice(0, 8);
}
