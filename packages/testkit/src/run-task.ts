import type { TestControlPlane } from './test-control-plane.ts';

/** A task to run; `provider` is `shell` unless said otherwise. */
export interface TaskRequest {
  /** Id or name. */
  readonly agent: string;
  readonly instructions: string;
  readonly provider?: string;
  readonly timeoutSeconds?: number;
}

/** A task as the API shows it, by the names of the API. */
export type TaskAnswer = Readonly<Record<string, unknown>> & { readonly id: string };

/** What calls the API: a control plane, or a view of it. */
export type ApiCaller = Pick<TestControlPlane, 'api'>;

const WAIT_SECONDS = 30;

/** Asks for a task and returns at once. Fails, with what the API said, when there is none. */
export async function startTask(controlPlane: ApiCaller, task: TaskRequest): Promise<TaskAnswer> {
  const { agent, instructions, provider = 'shell', timeoutSeconds } = task;
  const body = { agent_id: agent, provider, instructions, timeout_seconds: timeoutSeconds };
  return parseTask(await controlPlane.api('POST', '/api/v1/tasks', body));
}

/** The task once it has ended. */
export async function endOfTask(controlPlane: ApiCaller, taskId: string): Promise<TaskAnswer> {
  for (;;) {
    const path = `/api/v1/tasks/${taskId}?wait_seconds=${WAIT_SECONDS}`;
    const task = parseTask(await controlPlane.api('GET', path));
    if (typeof task['ended_at'] === 'string') return task;
  }
}

/** Runs a task to its end. */
export async function runTask(controlPlane: ApiCaller, task: TaskRequest): Promise<TaskAnswer> {
  const { id } = await startTask(controlPlane, task);
  return endOfTask(controlPlane, id);
}

/** All that an ended task has written, as text. */
export async function outputOf(controlPlane: ApiCaller, taskId: string): Promise<string> {
  const { status, body } = await controlPlane.api('GET', `/api/v1/tasks/${taskId}/output`);
  if (status !== 200) throw new Error(`no output of task ${taskId}, but ${status} ${JSON.stringify(body)}`);
  return typeof body === 'string' ? body : '';
}

function parseTask({ status, body }: { readonly status: number; readonly body: unknown }): TaskAnswer {
  if (typeof body === 'object' && body !== null && 'id' in body && typeof body.id === 'string') {
    return { ...body, id: body.id };
  }
  throw new Error(`no task, but ${status} ${JSON.stringify(body)}`);
}
