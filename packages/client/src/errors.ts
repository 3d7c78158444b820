/** The control plane refused: its code, its words, its HTTP status. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: string;
  readonly status: number;
  readonly requestId: string | undefined;

  constructor(answer: { code: string; message: string; status: number; requestId?: string | undefined }) {
    super(answer.message);
    this.code = answer.code;
    this.status = answer.status;
    this.requestId = answer.requestId;
  }
}

/** Nobody answered: the control plane is down, or cannot be reached from here. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError';

  constructor(url: string, cause: unknown) {
    super(`cannot reach the control plane at ${url}: ${reasonOf(cause)}`, { cause });
  }
}

/** True when the agent is away. It may stay so for days: that is an answer, and not repeated. */
export function isAgentOffline(error: unknown): boolean {
  return error instanceof ApiError && error.code === 'agent_offline';
}

/** True for what may be gone in a moment: nobody there, or a control plane that says so. */
export function isPassing(error: unknown): boolean {
  if (error instanceof UnreachableError) return true;
  if (!(error instanceof ApiError) || isAgentOffline(error)) return false;
  return error.code === 'rate_limited' || [502, 503, 504].includes(error.status);
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return 'unknown error';
  return cause.cause instanceof Error && cause.cause.message !== '' ? cause.cause.message : cause.message;
}
