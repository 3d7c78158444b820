import { ControlError, unreachable } from '@drawbridge/protocol';
import type { Actor } from './actor.ts';

/** What can be done, each with a kind of resource (security.md, row "rights"). */
export type Verb =
  | 'agent.read'
  | 'agent.command'
  | 'task.run'
  | 'task.read'
  | 'task.cancel'
  | 'tunnel.open'
  | 'admin.agents'
  | 'admin.sign-in'
  | 'admin.join-tokens';

/** What it is done to: an agent, or the control plane as a whole. */
export interface Resource {
  readonly agentId?: string;
}

/**
 * The one place that decides. Throws ControlError `forbidden`. Every token and every session belongs to the admin in this
 * version, so what is refused is what names nobody; roles join here.
 */
export function authorise(actor: Actor, verb: Verb, resource: Resource): void {
  switch (actor.kind) {
    case 'token':
    case 'session':
      return;
    case 'system':
      // Of its own accord the control plane opens tunnels on behalf of an actor who was authorised, and nothing else.
      if (verb === 'tunnel.open') return;
      throw new ControlError(
        'forbidden',
        `${verb} on ${resource.agentId ?? 'the control plane'} is not for the system`,
      );
    default:
      unreachable(actor.kind);
  }
}
