import { createPublicKey, randomUUID, verify } from 'node:crypto';
import type { Kysely } from 'kysely';
import { ControlError, enrolStatement } from '@drawbridge/protocol';
import type { Labels } from '@drawbridge/protocol';
import type { Clock } from '@drawbridge/link';
import { AgentsRepository } from '../store/agents-repository.ts';
import type { Schema } from '../store/schema.ts';
import { isUniqueViolation } from '../store/sqlite/statement-error.ts';
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
}

/** Turns a join token and a public key into an agent, in one transaction: a failed enrolment costs no use. */
export class Enrolment {
  readonly #db: Kysely<Schema>;
  readonly #joinTokens: JoinTokens;
  readonly #clock: Clock;

  constructor(db: Kysely<Schema>, joinTokens: JoinTokens, clock: Clock) {
    this.#db = db;
    this.#joinTokens = joinTokens;
    this.#clock = clock;
  }

  async enrol(request: EnrolRequest): Promise<{ agentId: string; name: string }> {
    requireProof(request);
    const agentId = randomUUID();
    const now = timestamp(this.#clock);
    try {
      await this.#db.transaction().execute(async (trx) => {
        const token = await this.#joinTokens.use(request.token, trx);
        const bound: unknown = JSON.parse(token.labels);
        // What the token is bound to wins over what the machine says.
        const labels = { ...request.labels, ...(bound as Labels) };
        await new AgentsRepository(trx).insert({
          ...newAgentRow({ agentId, name: request.name, labels, now }),
          public_key: request.publicKey,
          auth_token_hash: publicKeyHash(request.publicKey),
        });
      });
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw new ControlError('agent_name_taken', `an agent named ${request.name} exists already`, { cause: error });
    }
    return { agentId, name: request.name };
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
