import { ControlError, selects } from '@drawbridge/protocol';
import type { Labels, Selector } from '@drawbridge/protocol';
import { CONTROL_PLANE_VERBS } from '@drawbridge/protocol/api';
import type { Verb } from '@drawbridge/protocol/api';
import type { Actor } from './actor.ts';

/**
 * What something is done to. `agents` stands for a list that is then filtered by `scopeOf`; `missing` makes the error for a
 * caller who may not even know that the thing is there.
 */
export type Resource =
  | {
      readonly kind: 'agent';
      readonly agentId: string;
      readonly labels: Labels;
      readonly missing?: () => ControlError;
      /** What it takes to know that the thing is there; without it, it is not. `agent.read` unless it is a thing of an agent. */
      readonly toRead?: Verb;
    }
  | { readonly kind: 'agents' }
  | { readonly kind: 'control-plane' };

/** What agents do, each as itself alone: no role gives it. */
export type AgentVerb = 'agent.connect' | 'tunnel.serve';

export const CONTROL_PLANE: Resource = { kind: 'control-plane' };
export const AGENTS: Resource = { kind: 'agents' };

const ABOUT_CONTROL_PLANE: ReadonlySet<Verb> = new Set(CONTROL_PLANE_VERBS);

/**
 * The one place that decides. Throws ControlError `forbidden`, or the resource's own "not found" when the actor may not
 * even read it.
 */
export function authorise(actor: Actor, verb: Verb | AgentVerb, resource: Resource): void {
  if (can(actor, verb, resource)) return;
  if (resource.kind === 'agent' && !can(actor, resource.toRead ?? 'agent.read', resource)) {
    throw resource.missing?.() ?? new ControlError('agent_not_found', 'no such agent');
  }
  throw new ControlError('forbidden', `${actor.name} has no right to ${verb}${describe(resource)}`);
}

/** Whether the actor may. Denied is what no grant allows. */
export function can(actor: Actor, verb: Verb | AgentVerb, resource: Resource): boolean {
  if (verb === 'agent.connect' || verb === 'tunnel.serve') {
    return actor.kind === 'agent' && resource.kind === 'agent' && resource.agentId === actor.id;
  }
  return actor.grants.some((grant) => {
    if (!grant.verbs.has(verb)) return false;
    if (resource.kind === 'agent') return selects(grant.selector, resource.labels);
    // Some of a list is enough; of the control plane there is no some.
    return grant.selector.length === 0 || (resource.kind === 'agents' && !ABOUT_CONTROL_PLANE.has(verb));
  });
}

/** The agents on which the actor may: those that one of these selects. Empty: none. */
export function scopeOf(actor: Actor, verb: Verb): readonly Selector[] {
  return actor.grants.filter((grant) => grant.verbs.has(verb)).map((grant) => grant.selector);
}

/** Nobody gives what they have not: throws ControlError `forbidden` unless the actor has each verb wherever `selector` reaches. */
export function requireHolds(actor: Actor, verbs: Iterable<Verb>, selector: Selector): void {
  for (const verb of verbs) {
    const holds = actor.grants.some((grant) => grant.verbs.has(verb) && reachesAsFar(grant.selector, selector));
    if (!holds) throw new ControlError('forbidden', `${actor.name} cannot give the right to ${verb}: it is not theirs`);
  }
}

/** True when whatever `narrow` selects, `wide` does too: each condition of the wide one is among those of the narrow one. */
function reachesAsFar(wide: Selector, narrow: Selector): boolean {
  return wide.every((condition) => narrow.some((other) => JSON.stringify(other) === JSON.stringify(condition)));
}

function describe(resource: Resource): string {
  return resource.kind === 'agent' ? ` on agent ${resource.agentId}` : '';
}
