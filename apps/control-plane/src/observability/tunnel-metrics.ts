import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';

/** Which way bytes go: `up` to the agent, `down` from it. */
export type TunnelDirection = 'up' | 'down';

/** What passes between the ends of operator tunnels, and what had to be done twice or had to wait. */
export class TunnelMetrics {
  readonly #bytes = { up: 0, down: 0 };
  readonly #resent = { up: 0, down: 0 };
  readonly #resumes: Counter;
  readonly #held: Counter<'direction'>;

  constructor(registry: Registry) {
    const registers = [registry];
    collected(
      registry,
      'drawbridge_tunnel_bytes_total',
      'Payload bytes relayed between the ends of tunnels.',
      this.#bytes,
    );
    collected(
      registry,
      'drawbridge_tunnel_resent_bytes_total',
      'Payload bytes that an end of a tunnel has sent once more after a connection was lost.',
      this.#resent,
    );
    this.#resumes = new Counter({
      name: 'drawbridge_tunnel_resumes_total',
      help: 'Times that both ends of a tunnel went on after a connection was lost.',
      registers,
    });
    this.#held = new Counter({
      name: 'drawbridge_tunnel_held_total',
      help: 'Times that an end of a tunnel was not read because the other end took too little.',
      labelNames: ['direction'],
      registers,
    });
    for (const direction of ['up', 'down'] as const) this.#held.inc({ direction }, 0);
  }

  /** The hottest path there is: it adds to plain numbers. */
  relayed(direction: TunnelDirection, bytes: number): void {
    this.#bytes[direction] += bytes;
  }

  resent(direction: TunnelDirection, bytes: number): void {
    this.#resent[direction] += bytes;
  }

  resumed(): void {
    this.#resumes.inc();
  }

  held(direction: TunnelDirection): void {
    this.#held.inc({ direction });
  }
}

function collected(
  registry: Registry,
  name: string,
  help: string,
  sums: Readonly<Record<TunnelDirection, number>>,
): void {
  const counter: Counter<'direction'> = new Counter({
    name,
    help,
    labelNames: ['direction'],
    registers: [registry],
    collect() {
      counter.reset();
      for (const direction of ['up', 'down'] as const) counter.inc({ direction }, sums[direction]);
    },
  });
}
