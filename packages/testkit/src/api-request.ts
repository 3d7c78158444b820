import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { type IncomingHttpHeaders, type IncomingMessage, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { buffer } from 'node:stream/consumers';

/** One request to the API. Plain data, so that it can be made from another network namespace too. */
export interface ApiRequest {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly caFile?: string;
}

/** What came back: the body parsed if it is JSON, a string otherwise, undefined when there is none. */
export interface ApiAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
}

const TIMEOUT_MS = 60_000;

/** Makes the request on a connection of its own. */
export async function apiRequest({ url, method, headers, body, caFile }: ApiRequest): Promise<ApiAnswer> {
  const makeRequest = url.startsWith('https:') ? httpsRequest : httpRequest;
  const json = body === undefined ? undefined : JSON.stringify(body);
  const request = makeRequest(url, {
    method,
    headers: { ...headers, ...(json === undefined ? {} : { 'content-type': 'application/json' }) },
    agent: false,
    signal: AbortSignal.timeout(TIMEOUT_MS),
    ...(caFile === undefined ? {} : { ca: readFileSync(caFile) }),
  });
  const answered: Promise<IncomingMessage[]> = once(request, 'response');
  request.end(json);
  const [response] = await answered;
  if (response === undefined) throw new Error(`${method} ${url}: no answer`);
  const text = (await buffer(response)).toString();
  return { status: response.statusCode ?? 0, headers: response.headers, body: parseBody(response, text) };
}

function parseBody(response: IncomingMessage, text: string): unknown {
  if (text === '') return undefined;
  return /json/.test(response.headers['content-type'] ?? '') ? JSON.parse(text) : text;
}
