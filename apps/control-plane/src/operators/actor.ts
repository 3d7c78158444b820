import type { Selector } from '@drawbridge/protocol';
import type { Verb } from '@drawbridge/protocol/api';

/** Some verbs on some agents. An empty selector is every agent, and the control plane itself. */
export interface Grant {
  readonly verbs: ReadonlySet<Verb>;
  readonly selector: Selector;
}

/** Who asks: a person, a program with a person's token, an agent, or the control plane itself. */
export interface Actor {
  readonly kind: 'user' | 'token' | 'agent' | 'system';
  readonly id: string;
  /** How people know it; never used to decide anything. */
  readonly name: string;
  /** Whose rights these are; undefined for agents and the system. */
  readonly userId: string | undefined;
  readonly grants: readonly Grant[];
  /** True for a token that was made to do less than its owner, or for less time. */
  readonly isNarrowed?: boolean;
  /** What it came in with, hashed: when that ends, what it has open ends. Undefined when nothing was shown. */
  readonly credential?: string | undefined;
}

/** The control plane acting on its own behalf: opening the system tunnel, sweeping. */
export const SYSTEM: Actor = {
  kind: 'system',
  id: 'system',
  name: 'control plane',
  userId: undefined,
  // Of its own accord it opens tunnels on behalf of an actor who was authorised, and nothing else.
  grants: [{ verbs: new Set<Verb>(['tunnel.open']), selector: [] }],
};

/** An agent that has proved who it is. It has no grants: `authorise` lets it do what agents do, as itself alone. */
export function agentActor({ agent_id: id, name }: { agent_id: string; name: string }): Actor {
  return { kind: 'agent', id, name, userId: undefined, grants: [] };
}

/** As it is stored beside what the actor made. */
export function actorText(actor: Pick<Actor, 'kind' | 'id'>): string {
  return `${actor.kind}:${actor.id}`;
}
