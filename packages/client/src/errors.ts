/** What a control plane said when it refused. */
export interface ApiAnswer {
  readonly code: string;
  readonly message: string;
  readonly status: number;
  readonly requestId?: string | undefined;
  /** The control plane's address. */
  readonly url?: string;
  readonly cause?: unknown;
}

/** The control plane refused: its code, its words, its HTTP status. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: string;
  readonly status: number;
  readonly requestId: string | undefined;
  readonly url: string | undefined;

  constructor(answer: ApiAnswer) {
    super(answer.message, { cause: answer.cause });
    this.code = answer.code;
    this.status = answer.status;
    this.requestId = answer.requestId;
    this.url = answer.url;
  }
}

/** Nobody answered: the control plane is down, or cannot be reached from here. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError';
  readonly url: string;

  constructor(url: string, cause: unknown) {
    super(`cannot reach the control plane at ${url}: ${reasonOf(cause)}`, { cause });
    this.url = url;
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
