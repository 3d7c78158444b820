import { z } from 'zod';
import { operation } from './operation.ts';

/** Tells the agent to dial a tunnel's agent leg. The token is checked against the pinned key before anything is dialled. */
export const tunnelOpen = operation({
  effect: 'idempotent',
  params: z.strictObject({
    tunnel_id: z.uuid(),
    kind: z.enum(['system', 'operator']),
    token: z.string().max(4096),
    url: z.string().max(2048).optional(),
  }),
  result: z.object({ tunnel_id: z.uuid() }),
  content: false,
});

export const tunnelClose = operation({
  effect: 'idempotent',
  params: z.strictObject({ tunnel_id: z.uuid(), reason: z.string().max(200) }),
  result: z.object({ tunnel_id: z.uuid() }),
  content: false,
});
