import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { mapBounded } from './bounded.ts';
import type { Client, ClientOptions } from './client.ts';
import { JOIN_TOKEN_USES } from './control-plane-target.ts';
import { EchoClient } from './echo-client.ts';
import { enrol } from './enrol.ts';
import type { CrowdOptions } from './orders.ts';
import { SimulatedAgent } from './simulated-agent.ts';

const ENROLMENTS_AT_ONCE = 16;
/** One control plane and many clients on one machine: a few source addresses have enough ports for all of them. */
const SOURCE_ADDRESSES = 8;

/** Simulated clients of one kind, dialled a bounded number at a time. */
export class Crowd {
  readonly #clients: readonly Client[];
  readonly #dialsMax: number;

  private constructor(clients: readonly Client[], dialsMax: number) {
    this.#clients = clients;
    this.#dialsMax = dialsMax;
  }

  static async make(options: CrowdOptions): Promise<Crowd> {
    return new Crowd(await makeClients(options), options.dialsMax);
  }

  get connected(): number {
    return this.#clients.filter((client) => client.isConnected).length;
  }

  /** Connects the first `count` clients. Rejects with the first dial that fails: a figure with failures in it says nothing. */
  async connect(count: number): Promise<void> {
    await mapBounded(this.#clients.slice(0, count), this.#dialsMax, (client) => client.connect());
  }

  /** Drops every connection at once, without a word. */
  cut(): void {
    for (const client of this.#clients) client.cut();
  }
}

async function makeClients({ target, size, index }: CrowdOptions): Promise<Client[]> {
  const ca = target.caFile === undefined ? undefined : readFileSync(target.caFile);
  // One for all: a context for each dial would cost more than the dial.
  const secureContext = createSecureContext(ca === undefined ? {} : { ca });
  const optionsOf = (number: number): ClientOptions => ({
    url: target.url,
    secureContext,
    localAddress: `127.0.0.${2 + (number % SOURCE_ADDRESSES)}`,
  });
  const numbers = Array.from({ length: size }, (_, number) => number);
  if (target.kind === 'reference') {
    return numbers.map((number) => new EchoClient(optionsOf(number), target.heartbeatSeconds * 1000));
  }
  return mapBounded(numbers, ENROLMENTS_AT_ONCE, async (number) => {
    const joinToken = target.joinTokens[Math.floor(number / JOIN_TOKEN_USES)] ?? '';
    const identity = await enrol({ url: target.url, ca, joinToken, name: `load-${index}-${number}` });
    return new SimulatedAgent(identity, optionsOf(number));
  });
}
