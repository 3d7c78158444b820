import type { TestControlPlane } from '@drawbridge/testkit';

/** The API over one kept connection, as a program would use it. */
export class Api {
  readonly #base: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor({ url, token }: Pick<TestControlPlane, 'url' | 'token'>) {
    this.#base = url;
    this.#headers = { authorization: `Bearer ${token}` };
  }

  /** Starts `script` as a task of provider `shell`; resolves to the task's id. */
  async startTask(agentId: string, script: string): Promise<string> {
    const body = JSON.stringify({ agent_id: agentId, provider: 'shell', instructions: script });
    const headers = { ...this.#headers, 'content-type': 'application/json' };
    const response = await fetch(new URL('/api/v1/tasks', this.#base), { method: 'POST', headers, body });
    return (await taskOf(response)).id;
  }

  /** Waits for the task to succeed; throws when it ends in another way. */
  async waitForTask(taskId: string): Promise<void> {
    const url = new URL(`/api/v1/tasks/${taskId}?wait_seconds=60`, this.#base);
    const { state } = await taskOf(await fetch(url, { headers: this.#headers }));
    if (state !== 'succeeded') throw new Error(`task ${taskId} is ${state}`);
  }
}

async function taskOf(response: Response): Promise<{ readonly id: string; readonly state: string }> {
  const value: unknown = await response.json();
  if (typeof value === 'object' && value !== null && 'id' in value && 'state' in value) {
    const { id, state } = value;
    if (typeof id === 'string' && typeof state === 'string') return { id, state };
  }
  throw new Error(`no task, but ${response.status} ${JSON.stringify(value)}`);
}
