import type { TestControlPlane } from '@drawbridge/testkit';
import type { CrowdTarget } from './orders.ts';

/** The uses of one join token, at most. */
export const JOIN_TOKEN_USES = 1_000;

/** What `size` simulated agents need to enrol with `controlPlane`. */
export async function controlPlaneTarget(controlPlane: TestControlPlane, size: number): Promise<CrowdTarget> {
  const joinTokens: string[] = [];
  while (joinTokens.length * JOIN_TOKEN_USES < size) {
    const { status, body } = await controlPlane.api('POST', '/api/v1/join-tokens', { uses: JOIN_TOKEN_USES });
    if (typeof body !== 'object' || body === null || !('token' in body) || typeof body.token !== 'string') {
      throw new Error(`no join token, but ${status}`);
    }
    joinTokens.push(body.token);
  }
  return { kind: 'control-plane', url: controlPlane.url, caFile: controlPlane.caFile, joinTokens };
}
