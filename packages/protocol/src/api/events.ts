import { z } from 'zod';
import { Time } from './common.ts';

/** What events are about: the first part of their type. */
export const EVENT_TOPICS = [
  'agent',
  'command',
  'task',
  'group',
  'tunnel',
  'user',
  'role',
  'token',
  'activity',
  'access',
] as const;
export const EventTopic = z.enum(EVENT_TOPICS);
export type EventTopic = z.infer<typeof EventTopic>;

/** Everything that is told as it happens. A type of a later version may come too: ignore what you do not know. */
export const EVENT_TYPES = [
  'agent.enrolled',
  'agent.online',
  'agent.offline',
  'agent.changed',
  'agent.revoked',
  'command.created',
  'command.changed',
  'task.created',
  'task.changed',
  'group.created',
  'group.changed',
  'group.deleted',
  'tunnel.opened',
  'tunnel.changed',
  'tunnel.closed',
  'user.created',
  'user.changed',
  'user.deleted',
  'role.created',
  'role.changed',
  'role.deleted',
  'token.created',
  'token.revoked',
  'activity.recorded',
  'access.changed',
] as const;
export const EventType = z.enum(EVENT_TYPES);
export type EventType = z.infer<typeof EventType>;

/** Something changed. `resource` is `<kind>:<id>`; `data` says what it is like now, never what is in it. */
export const EventView = z.object({
  id: z.string(),
  type: z.string(),
  at: Time,
  agent_id: z.string().nullable(),
  resource: z.string(),
  data: z.record(z.string(), z.unknown()),
});
export type EventView = z.infer<typeof EventView>;
