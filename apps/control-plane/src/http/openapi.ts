import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { jsonSchemaTransform } from 'fastify-type-provider-zod';
import { ErrorView } from '@drawbridge/protocol/api';
import { PROGRAM_VERSION } from '@drawbridge/runtime';
import { z } from 'zod';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The content type of an answer that is no JSON, for its description. */
    contentType?: string;
  }
}

const ERROR = opened(z.toJSONSchema(ErrorView, { io: 'output' }));

/**
 * What each route may answer besides its own: the codes are in `code`. Not `4XX` and `5XX`, which say more, because generators of
 * clients take a status for a number.
 */
const ERROR_ANSWERS = {
  default: {
    description: 'Refused, or failed here or on the agent: `code` says why',
    content: { 'application/json': { schema: ref('Error') } },
  },
} as const;

/** Collects every route registered after it, and its schemas, for `GET /openapi.json`. */
export async function describeRoutes(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Drawbridge',
        version: PROGRAM_VERSION,
        description:
          'A control plane for machines that only dial out. Times are UTC, durations in seconds, sizes in bytes.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', description: 'An API token (dbt_…) or the token of a session' },
          cookie: { type: 'apiKey', in: 'cookie', name: '__Host-drawbridge', description: "A browser's session" },
        },
      },
    },
    transform: (given) => {
      const transformed = jsonSchemaTransform(given);
      const { verb, public: isPublic, creates, contentType } = given.route.config ?? {};
      const access = isPublic === true ? 'Open to everybody.' : `Needs the right \`${verb}\`.`;
      const repeat = creates === true ? ' Takes an `Idempotency-Key`.' : '';
      return {
        url: transformed.url,
        schema: {
          ...transformed.schema,
          ...(contentType === undefined ? {} : { response: { 200: streamOf(contentType) } }),
          operationId: operationIdOf(String(given.route.method), given.url),
          tags: [tagOf(given.url)],
          description: transformed.schema['description'] ?? `${access}${repeat}`,
          security: isPublic === true ? [] : [{ bearer: [] }, { cookie: [] }],
        },
      };
    },
    transformObject: (document) => {
      if (!('openapiObject' in document)) throw new Error('an OpenAPI document was asked for');
      const { openapiObject } = document;
      const paths: Record<string, unknown> = {};
      for (const [path, item] of Object.entries(openapiObject.paths ?? {})) {
        paths[path] = withErrors(item as Record<string, { responses?: object }>);
      }
      const { components = {} } = openapiObject;
      const schemas = { ...components.schemas, Error: ERROR };
      return { ...openapiObject, paths, components: { ...components, schemas } } as typeof openapiObject;
    },
  });
}

/** Bytes, or text that is read as it comes: no schema says more of it. */
function streamOf(contentType: string) {
  const schema = contentType.startsWith('text/') ? { type: 'string' } : { type: 'string', format: 'binary' };
  return { description: 'Sent as it comes', content: { [contentType]: { schema } } };
}

function withErrors(item: Record<string, { responses?: object }>): Record<string, unknown> {
  const operations = Object.entries(item).map(([method, operation]) => {
    const responses = { ...(opened(operation.responses ?? {}) as object), ...ERROR_ANSWERS };
    return [method, { ...operation, responses }] as const;
  });
  return Object.fromEntries(operations);
}

/** The same schema for answers that may grow: a client that is older than its server ignores what it does not know. */
function opened(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(opened);
  if (typeof schema !== 'object' || schema === null) return schema;
  const entries = Object.entries(schema).filter(([key, value]) => key !== 'additionalProperties' || value !== false);
  return Object.fromEntries(entries.map(([key, value]) => [key, opened(value)]));
}

function ref(name: string) {
  return { $ref: `#/components/schemas/${name}` } as const;
}

/** `GET /api/v1/agents/{agent}` is `getAgentsByAgent`: stable as long as its path is. */
function operationIdOf(method: string, url: string): string {
  const words = url
    .replace(/^\/api\/v1/, '')
    .split('/')
    .filter((part) => part !== '')
    .map((part) => (part.startsWith(':') ? `By${capitalised(part.slice(1))}` : capitalised(part)));
  return `${method.toLowerCase()}${words.join('')}`;
}

function capitalised(text: string): string {
  return text.replaceAll(/(?:^|[-.])(\w)/g, (_all, letter: string) => letter.toUpperCase());
}

function tagOf(url: string): string {
  const [, , , noun] = url.split('/');
  return url.startsWith('/api/v1/') && noun !== undefined ? noun : 'server';
}
