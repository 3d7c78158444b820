import type { TestControlPlane } from '@drawbridge/testkit';
import { z } from 'zod';

type JsonSchema = Parameters<typeof z.fromJSONSchema>[0];
const Schema = z.custom<JsonSchema>((value) => typeof value === 'object' && value !== null);
const Answer = z.object({ content: z.record(z.string(), z.object({ schema: Schema })).default({}) });
const Document = z.object({
  paths: z.record(z.string(), z.record(z.string(), z.object({ responses: z.record(z.string(), Answer) }))),
  components: z.object({ schemas: z.record(z.string(), Schema) }),
});
const Reference = z.object({ $ref: z.string().startsWith('#/components/schemas/') });

/** What is asked, and of what: `path` is the `template` of the document with its parameters filled in. */
export interface DescribedRequest {
  readonly method: string;
  readonly template: string;
  readonly path: string;
  readonly body?: unknown;
}

/** An API held to its own description: every answer is compared with what the document says of it. */
export class DescribedApi {
  readonly #url: string;
  readonly #document: z.infer<typeof Document>;
  /** Whose answers these are; at first the admin's token. */
  token: string;

  private constructor({ url, token }: TestControlPlane, document: z.infer<typeof Document>) {
    this.#url = url;
    this.token = token;
    this.#document = document;
  }

  static async of(controlPlane: TestControlPlane): Promise<DescribedApi> {
    return new DescribedApi(controlPlane, Document.parse((await controlPlane.api('GET', '/openapi.json')).body));
  }

  /** The templates of all paths that can be read. */
  get readable(): string[] {
    return Object.entries(this.#document.paths).flatMap(([path, item]) => ('get' in item ? [path] : []));
  }

  /** Throws when the answer is of a kind, or has a field, that the document does not name. */
  async call({ method, template, path, body }: DescribedRequest): Promise<{ status: number; body: unknown }> {
    const response = await fetch(new URL(path, this.#url), {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const { status } = response;
    const name = `${method} ${template}: ${status}`;
    const described = this.#document.paths[template]?.[method.toLowerCase()]?.responses;
    const { content } = described?.[status] ?? described?.['default'] ?? fail(`${name} is not described`);
    const [type] = (response.headers.get('content-type') ?? '').split(';');
    if (status === 204) return { status, body: undefined };
    const { schema } = content[type ?? ''] ?? fail(`${name} is ${type}, not ${Object.keys(content).join(' or ')}`);
    if (type !== 'application/json') {
      // What follows may never end.
      await response.body?.cancel();
      return { status, body: undefined };
    }
    const value: unknown = await response.json();
    const parsed = z.fromJSONSchema(closed(this.#resolved(schema))).safeParse(value);
    if (!parsed.success) fail(`${name}: ${z.prettifyError(parsed.error)}\n${JSON.stringify(value)}`);
    return { status, body: value };
  }

  #resolved(schema: JsonSchema): JsonSchema {
    const { data } = Reference.safeParse(schema);
    if (data === undefined) return schema;
    return this.#document.components.schemas[data.$ref.replace(/.*\//, '')] ?? fail(`${data.$ref} is not there`);
  }
}

/** The document lets answers grow; this server must not have grown beyond its own document. */
function closed(schema: JsonSchema): JsonSchema {
  const text = JSON.stringify(schema, (_key, value: unknown) => {
    const isObject = typeof value === 'object' && value !== null && 'properties' in value && 'type' in value;
    return isObject && !('additionalProperties' in value) ? { ...value, additionalProperties: false } : value;
  });
  return JSON.parse(text);
}

function fail(message: string): never {
  throw new Error(message);
}
