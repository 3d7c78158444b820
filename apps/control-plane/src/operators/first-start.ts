import type { ApiTokens } from './api-tokens.ts';
import type { SignInLinks } from './sign-in-links.ts';
import type { Users } from './users.ts';

/** The first admin's name when nobody is there to choose one. */
const FIRST_ADMIN = 'admin';

/**
 * The first start of a control plane, when there are no users: a bootstrap file makes the admin and their API token, and
 * nobody has to sign in. Without one, the code of a one-time link comes back, by which somebody becomes the first admin.
 * Later starts do nothing.
 */
export async function firstStart(
  { users, tokens, links }: { users: Users; tokens: ApiTokens; links: SignInLinks },
  bootstrapFile: string | undefined,
): Promise<string | undefined> {
  if (await users.exist()) return undefined;
  if (bootstrapFile === undefined) return links.issue({ kind: 'first-admin' });
  const token = await tokens.readBootstrap(bootstrapFile);
  const admin = await users.createFirst(FIRST_ADMIN, undefined);
  await tokens.storeBootstrap(token, admin.id);
  return undefined;
}
