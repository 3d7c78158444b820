import { z } from 'zod';
import { ApiError, UnreachableError } from './errors.ts';
import type { ApiAnswer } from './errors.ts';
import type { FetchLike, ResponseLike } from './fetch.ts';

/** Where a control plane is and who asks. */
export interface HttpOptions {
  readonly url: string;
  /** An API token; a browser leaves it out and sends its cookie. */
  readonly token?: string | undefined;
  readonly fetch: FetchLike;
}

export interface RequestOptions {
  readonly method?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

const Refusal = z.object({ code: z.string(), message: z.string(), request_id: z.string().optional() });

/** Requests to one control plane. Rejects with ApiError, UnreachableError, or the signal's reason. */
export class Http {
  readonly #options: HttpOptions;

  constructor(options: HttpOptions) {
    this.#options = options;
  }

  /** The answer's body, checked against `schema`. */
  async json<T>(schema: z.ZodType<T>, path: string, options: RequestOptions = {}): Promise<T> {
    return this.read(schema, await this.send(path, options), options.signal);
  }

  /** The body of a response that `send` gave, checked against `schema`. What is no answer of a control plane is an ApiError. */
  async read<T>(schema: z.ZodType<T>, response: ResponseLike, signal?: AbortSignal): Promise<T> {
    const text = await this.#text(response, signal);
    try {
      return schema.parse(JSON.parse(text));
    } catch (cause) {
      throw this.#refusal({ ...noAnswer(response.status), cause });
    }
  }

  /** For answers without a body. */
  async done(path: string, options: RequestOptions): Promise<void> {
    await this.#text(await this.send(path, options), options.signal);
  }

  /** The response itself, its status being a good one. */
  async send(path: string, { method, body, headers, signal }: RequestOptions = {}): Promise<ResponseLike> {
    const { url, token, fetch } = this.#options;
    let response: ResponseLike;
    try {
      response = await fetch(new URL(path, url).href, {
        method: method ?? (body === undefined ? 'GET' : 'POST'),
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (cause) {
      signal?.throwIfAborted();
      throw new UnreachableError(url, cause);
    }
    if (response.status < 400) return response;
    throw this.#refusal(refusalOf(response.status, await this.#text(response, signal)));
  }

  #refusal(answer: ApiAnswer): ApiError {
    return new ApiError({ ...answer, url: this.#options.url });
  }

  async #text(response: ResponseLike, signal: AbortSignal | undefined): Promise<string> {
    try {
      return await response.text();
    } catch (cause) {
      signal?.throwIfAborted();
      throw new UnreachableError(this.#options.url, cause);
    }
  }
}

function refusalOf(status: number, text: string): ApiAnswer {
  try {
    const { code, message, request_id: requestId } = Refusal.parse(JSON.parse(text));
    return { code, message, status, requestId };
  } catch {
    return noAnswer(status);
  }
}

/** Some other server, or a control plane of a version that is not understood here. */
function noAnswer(status: number): ApiAnswer {
  return { code: 'internal', message: `HTTP ${status}, and no answer of a control plane`, status };
}
