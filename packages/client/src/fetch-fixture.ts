import type { FetchLike, ResponseLike } from './fetch.ts';

/** For tests: a request as a platform's fetch got it. */
export interface Asked {
  readonly url: string;
  readonly init: Parameters<FetchLike>[1];
}

/** For tests: a platform's fetch that gives these answers, one after the other, and keeps what it was asked. */
export function answers(...responses: (ResponseLike | Error)[]): { fetch: FetchLike; asked: Asked[] } {
  const asked: Asked[] = [];
  const fetch: FetchLike = (url, init) => {
    asked.push({ url, init });
    const next = responses.shift() ?? new Error('no more answers');
    return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
  };
  return { fetch, asked };
}

/** For tests: an answer without headers. */
export function response(status: number, text = '', body: ResponseLike['body'] = null): ResponseLike {
  return { status, headers: { get: () => null }, body, text: () => Promise.resolve(text) };
}

/** For tests: the answer of a control plane that is newer: it says more than this client knows. Undefined: no body. */
export function newerAnswer(answer: unknown): ResponseLike {
  return response(200, answer === undefined ? '' : JSON.stringify(newer(answer)));
}

/** What somebody chose to say, and nothing is added to. */
const CHOSEN: ReadonlySet<string> = new Set(['labels', 'metadata']);

function newer(answer: unknown): unknown {
  if (Array.isArray(answer)) return answer.map(newer);
  if (typeof answer !== 'object' || answer === null) return answer;
  const known = Object.fromEntries(
    Object.entries(answer).map(([key, value]) => [key, CHOSEN.has(key) ? value : newer(value)]),
  );
  return { ...known, said_later: true };
}

/** For tests: a request in one line, such as `POST /tasks {"a":1}`. */
export function lineOf({ url, init: { method, body } }: Asked): string {
  return [method, url.replace('https://control.test/api/v1', ''), body].join(' ').trim();
}
