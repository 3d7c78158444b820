import { z } from 'zod';
import { Time } from './common.ts';
import { PlainName } from './rights.ts';

/** A selector under a name: the agents it selects at the moment it is used. */
export const GroupView = z.object({
  id: z.string(),
  name: PlainName,
  selector: z.string(),
  description: z.string(),
  created_at: Time,
  updated_at: Time,
});
export type GroupView = z.infer<typeof GroupView>;
