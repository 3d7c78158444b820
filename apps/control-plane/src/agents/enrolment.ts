import { createPublicKey, randomUUID, verify } from 'node:crypto';
import type { Kysely } from 'kysely';
import { ControlError, enrolStatement } from '@drawbridge/protocol';
import type { Labels } from '@drawbridge/protocol';
import type { Clock } from '@drawbridge/link';
import { AgentsRepository } from '../store/agents-repository.ts';
import type { Schema } from '../store/schema.ts';
import { isUniqueViolation } from '../store/statement-error.ts';
import type { Db } from '../store/store.ts';
import { timestamp } from '../store/timestamp.ts';
import { publicKeyHash } from './agent-auth.ts';
import type { JoinTokens } from './join-tokens.ts';
import { newAgentRow } from './new-agent-row.ts';

/** What a machine sends to become an agent. `proof` is its signature over `enrolStatement`, by the key it enrols. */
export interface EnrolRequest {
  readonly token: string;
  readonly publicKey: string;
  readonly proof: string;
  readonly name: string;
  readonly labels: Labels;
  /** The machine it runs on, as it says, or else the address it comes from. */
  readonly machineId: string;
}

/** Turns a join token and a public key into an agent, in one transaction: a failed enrolment costs no use. */
export class Enrolment {
  readonly #db: Kysely<Schema>;
  readonly #joinTokens: JoinTokens;
  readonly #clock: Clock;
  readonly #agentsPerHostMax: number;
  #onEnrolled: (agentId: string, name: string) => void = () => undefined;

  constructor(db: Kysely<Schema>, joinTokens: JoinTokens, clock: Clock, agentsPerHostMax: number) {
    this.#db = db;
    this.#joinTokens = joinTokens;
    this.#clock = clock;
    this.#agentsPerHostMax = agentsPerHostMax;
  }

  /** Registers who is told of each new agent, once it is stored. */
  onEnrolled(told: (agentId: string, name: string) => void): void {
    this.#onEnrolled = told;
  }

  async enrol(request: EnrolRequest): Promise<{ agentId: string; name: string }> {
    requireProof(request);
    const agentId = randomUUID();
    const now = timestamp(this.#clock);
    try {
      await this.#db.transaction().execute(async (trx) => {
        const token = await this.#joinTokens.use(request.token, trx);
        await this.#requireRoom(request.machineId, trx);
        const bound: unknown = JSON.parse(token.labels);
        // What the token is bound to wins over what the machine says.
        const labels = { ...request.labels, ...(bound as Labels) };
        await new AgentsRepository(trx).insert({
          ...newAgentRow({ agentId, name: request.name, labels, now }),
          public_key: request.publicKey,
          auth_token_hash: publicKeyHash(request.publicKey),
          machine_id: request.machineId,
        });
      });
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw new ControlError('agent_name_taken', `an agent named ${request.name} exists already`, { cause: error });
    }
    this.#onEnrolled(agentId, request.name);
    return { agentId, name: request.name };
  }

  /**
   * A machine that enrols again and again is a mistake of somebody's automation. It is no boundary of security: a machine says
   * itself which one it is, and of two enrolments in one moment PostgreSQL may let both in.
   */
  async #requireRoom(machineId: string, trx: Db): Promise<void> {
    const agents = await new AgentsRepository(trx).countOnMachine(machineId);
    if (agents < this.#agentsPerHostMax) return;
    throw new ControlError(
      'host_limit',
      `this machine has ${agents} agents already: revoke some, or raise agents.max_agents_per_host`,
    );
  }
}

function requireProof({ token, publicKey, proof }: EnrolRequest): void {
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: publicKey }, format: 'jwk' });
  if (
    verify(
      null,
      Buffer.from(enrolStatement(token.split('.')[0] ?? '', publicKey)),
      key,
      Buffer.from(proof, 'base64url'),
    )
  )
    return;
  throw new ControlError('auth_failed', 'the proof is not a signature by the public key');
}
