import type { Labels } from '@drawbridge/protocol';
import { EventTopic } from '@drawbridge/protocol/api';
import type { EventView, Verb } from '@drawbridge/protocol/api';
import type { Actor } from '../operators/actor.ts';
import { AGENTS, CONTROL_PLANE, can } from '../operators/authorise.ts';
import type { Resource } from '../operators/authorise.ts';

/** The right one needs to read the thing itself, by what the event is about. */
const VERB = {
  agent: 'agent.read',
  command: 'agent.command',
  task: 'task.read',
  group: 'agent.read',
  tunnel: 'tunnel.read',
  user: 'admin.users',
  role: 'admin.users',
  token: 'admin.users',
  activity: 'audit.read',
  access: 'account.self',
} as const satisfies Record<EventTopic, Verb>;

/** The topic of an event's type. */
export function topicOf(type: string): EventTopic {
  return EventTopic.parse(type.split('.', 1)[0]);
}

/** Whether this event is the actor's to know: what the API would show them if they asked for the thing now. */
export function maySee(actor: Actor, event: EventView, labels: Labels | undefined): boolean {
  const verb = VERB[topicOf(event.type)];
  if (event.agent_id === null) return can(actor, verb, resourceOf(verb));
  return labels !== undefined && can(actor, verb, { kind: 'agent', agentId: event.agent_id, labels });
}

/** A right by which the actor has anything to follow, and what to ask it of; `agent.read` when there is none. */
export function rightToFollow(actor: Actor): { readonly verb: Verb; readonly resource: Resource } {
  const verb = Object.values(VERB).find((candidate) => can(actor, candidate, resourceOf(candidate))) ?? 'agent.read';
  return { verb, resource: resourceOf(verb) };
}

/** What is about no single agent: groups are known to who may read some agent. */
function resourceOf(verb: Verb): Resource {
  return verb.startsWith('admin.') || verb.startsWith('account.') ? CONTROL_PLANE : AGENTS;
}
