import { z } from 'zod';
import { operation } from './operation.ts';

/** Tells the agent to dial a tunnel's agent leg. The token is checked against the pinned key before anything is dialled. */
export const tunnelOpen = operation({
  effect: 'idempotent',
  params: z.strictObject({
    tunnel_id: z.uuid(),
    kind: z.enum(['system', 'operator']),
    token: z.string().max(4096),
    /** The port of the control plane to dial; without it, the one of the link. */
    port: z.int().min(1).max(65_535).optional(),
    /** Who is at the other end of an operator's tunnel, as people know them. */
    operator: z.string().max(300).optional(),
  }),
  result: z.object({ tunnel_id: z.uuid() }),
  // The token is one.
  content: true,
});

export const tunnelClose = operation({
  effect: 'idempotent',
  params: z.strictObject({ tunnel_id: z.uuid(), reason: z.string().max(200) }),
  result: z.object({ tunnel_id: z.uuid() }),
  content: false,
});
