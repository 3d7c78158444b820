import { randomUUID } from 'node:crypto';
import type { Outcome } from '@drawbridge/protocol';
import { settle } from '@drawbridge/testkit';
import type { SeededRandom } from '@drawbridge/testkit';
import { z } from 'zod';
import type { LiveLink } from '../agents/presence.ts';
import type { BulkFixture } from './bulk-fixture.ts';

interface Machine {
  readonly agentId: string;
  readonly journalId: string;
  link: LiveLink | undefined;
}

interface Command {
  readonly id: string;
  readonly machine: Machine;
  readonly taskId: string | undefined;
}

const Payload = z.object({ params: z.object({ task_id: z.string().optional() }).optional() });

/** For tests: machines that come, go, and answer as chance has it; an answer that was given once stays the same. */
export class BulkWorld {
  readonly machines: Machine[] = [];
  readonly #bulk: BulkFixture;
  readonly #random: SeededRandom;
  readonly #commands = new Map<string, Command>();
  /** Heard, and not answered on a link that still is. */
  readonly #open = new Set<string>();
  readonly #answers = new Map<string, Outcome>();

  constructor(bulk: BulkFixture, random: SeededRandom) {
    this.#bulk = bulk;
    this.#random = random;
  }

  async addMachines(count: number): Promise<void> {
    for (let index = 0; index < count; index += 1) {
      const agentId = await this.#bulk.addAgent(`a${index}`);
      this.machines.push({ agentId, journalId: randomUUID(), link: undefined });
    }
  }

  /** Everything that was told to this agent. */
  commandsOf(agentId: string): string[] {
    return [...this.#commands.values()].filter(({ machine }) => machine.agentId === agentId).map(({ id }) => id);
  }

  /** One machine comes, if it is away. */
  async connect(machine: Machine): Promise<void> {
    if (machine.link !== undefined) return;
    const send: LiveLink['send'] = (type, payload, id = '') => {
      if (type === 'command') this.#hear({ id, machine, taskId: Payload.parse(payload).params?.task_id });
    };
    machine.link = await this.#bulk.control.connect(machine.agentId, { journalId: machine.journalId, send });
  }

  async disconnect(machine: Machine): Promise<void> {
    const { link } = machine;
    machine.link = undefined;
    if (link !== undefined) await this.#bulk.control.disconnect(link);
  }

  /** One of the commands that wait for an answer gets one. */
  async answer(): Promise<void> {
    const id = [...this.#open][this.#random.integer(0, Math.max(0, this.#open.size - 1))];
    const command = this.#commands.get(id ?? '');
    const link = command?.machine.link;
    if (command === undefined || link === undefined) return;
    this.#open.delete(command.id);
    const outcome = this.#answers.get(command.id) ?? this.#newAnswer(command);
    this.#answers.set(command.id, outcome);
    await this.#bulk.control.parts.commands.ended(link, command.id, outcome);
  }

  /** The control plane dies after so many turns of the event loop: in the middle of what it does then. */
  async crash(turns: number): Promise<void> {
    for (let turn = 0; turn < turns; turn += 1) await settle();
    for (const machine of this.machines) machine.link = undefined;
    this.#open.clear();
    await this.#bulk.crash();
  }

  #hear(command: Command): void {
    const known = this.#commands.get(command.id);
    // Asked for its outcome, it is not told its parameters again.
    this.#commands.set(command.id, known ?? command);
    this.#open.add(command.id);
  }

  #newAnswer({ taskId }: Command): Outcome {
    const error = { code: 'process_failed', message: 'by chance' } as const;
    return this.#random.pick<Outcome>([
      { status: 'success', data: taskId === undefined ? null : taskOutcome(taskId) },
      { status: 'success', data: taskId === undefined ? null : taskOutcome(taskId) },
      { status: 'error', error },
      { status: 'cancelled' },
      { status: 'indeterminate', error: { code: 'indeterminate', message: 'by chance' } },
    ]);
  }
}

/** For tests: how a task ends that succeeds. */
export function taskOutcome(taskId: string, state = 'succeeded') {
  const at = new Date(0).toISOString();
  const output = { output_bytes: 0, output_sha256: '0'.repeat(64), result_bytes: 0 };
  return { task_id: taskId, state, exit_code: 0, started_at: at, ended_at: at, ...output };
}
