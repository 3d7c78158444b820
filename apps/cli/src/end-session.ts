import { ApiError, signOut } from '@drawbridge/client';
import { caOf, httpOptionsFor } from './access.ts';
import type { Context } from './contexts.ts';

/**
 * Ends the session that a login made, so that its token works nowhere. A token that came from elsewhere is left alone, and one
 * that is refused needs no ending.
 */
export async function endSession({ url, token, ca, kind }: Context, env: NodeJS.ProcessEnv): Promise<void> {
  if (token === null || kind !== 'session') return;
  try {
    await signOut(httpOptionsFor({ url, token, ca: ca ?? (await caOf(env['DRAWBRIDGE_CA'])) }));
  } catch (error) {
    if (!(error instanceof ApiError && (error.status === 401 || error.status === 404))) throw error;
  }
}
