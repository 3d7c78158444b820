/** Who asks: a program with an API token, a browser with a session, or the control plane itself. */
export interface Actor {
  readonly kind: 'token' | 'session' | 'system';
  readonly id: string;
}

/** The control plane acting on its own behalf: opening the system tunnel, sweeping. */
export const SYSTEM: Actor = { kind: 'system', id: 'system' };

/** As it is stored beside what the actor made. */
export function actorText(actor: Actor): string {
  return `${actor.kind}:${actor.id}`;
}
