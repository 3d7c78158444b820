import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** One request of many; every connection sends all of them in turn, beginning at a place of its own. */
export interface HttpRequest {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Whom to call, with what, for how long. */
export interface HttpLoadOptions {
  readonly url: string;
  readonly requests: readonly HttpRequest[];
  /** Each has one request under way. */
  readonly connections: number;
  readonly seconds: number;
  /** Requests per second, all connections together; without it, as many as the server answers. */
  readonly rate?: number;
  /** The same before, and not counted. */
  readonly warmUpSeconds: number;
}

/** How the server did. */
export interface HttpCourse {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** What a load process says at its end. */
export type HttpLoadAnswer = { readonly course: HttpCourse } | { readonly error: string };

const LOAD_MAIN = fileURLToPath(new URL('./http-load-main.ts', import.meta.url));

/** Calls an HTTP server from a process of its own. Rejects when a single request was not answered with success. */
export async function loadOverHttp(options: HttpLoadOptions): Promise<HttpCourse> {
  const child = fork(LOAD_MAIN);
  const ended = new AbortController();
  child.once('exit', (code, signal) => ended.abort(new Error(`the HTTP load ended (${signal ?? code})`)));
  try {
    child.send(options);
    const [answer]: HttpLoadAnswer[] = await once(child, 'message', { signal: ended.signal }).catch(() => {
      throw ended.signal.reason;
    });
    if (answer === undefined || 'error' in answer) throw new Error(answer?.error ?? 'the HTTP load said nothing');
    return answer.course;
  } finally {
    child.kill('SIGKILL');
  }
}
