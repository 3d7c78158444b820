import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { createRequire, stripTypeScriptTypes } from 'node:module';
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { TempDir, type TestControlPlane } from '@drawbridge/testkit';
import { generateSource } from 'oazapfts';
import { z } from 'zod';

const Answer = z.object({ status: z.number(), data: z.unknown() });
export type GeneratedAnswer = z.infer<typeof Answer>;

type Operation = (parameters: object, options: object) => Promise<unknown>;
const Operations = z.record(z.string(), z.unknown());

/** A client that a public generator, oazapfts, has made from what a control plane says of its API. Nothing in it is ours. */
export class GeneratedClient implements AsyncDisposable {
  readonly #dir: TempDir;
  readonly #operations: Readonly<Record<string, unknown>>;
  readonly #options: object;

  private constructor(dir: TempDir, operations: Readonly<Record<string, unknown>>, options: object) {
    this.#dir = dir;
    this.#operations = operations;
    this.#options = options;
  }

  /** Fetches the document, generates the client, and loads it. */
  static async make({ url, token }: TestControlPlane): Promise<GeneratedClient> {
    await using owned = new AsyncDisposableStack();
    const dir = owned.use(await TempDir.make('drawbridge-client-'));
    const source = await generateSource(new URL('/openapi.json', url).href, { argumentStyle: 'object' });
    await writeFile(dir.join('client.mjs'), stripTypeScriptTypes(source));
    await linkRuntime(dir);
    const operations = Operations.parse(await import(/* @vite-ignore */ pathToFileURL(dir.join('client.mjs')).href));
    const options = { baseUrl: url, headers: { authorization: `Bearer ${token}` } };
    owned.move();
    return new GeneratedClient(dir, operations, options);
  }

  /** Calls the function that was generated for `operationId`. */
  async call(operationId: string, parameters: object = {}): Promise<GeneratedAnswer> {
    const operation = this.#operations[operationId];
    if (!isOperation(operation)) throw new Error(`no operation ${operationId} was generated`);
    // A function without parameters takes the options first.
    const words: [object, object] | [object] = operation.length < 2 ? [this.#options] : [parameters, this.#options];
    return Answer.parse(await Reflect.apply(operation, undefined, words));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dir[Symbol.asyncDispose]();
  }
}

/** The generated file imports the generator's runtime by its name. */
async function linkRuntime(dir: TempDir): Promise<void> {
  const require = createRequire(import.meta.url);
  const runtime = dirname(require.resolve('@oazapfts/runtime'));
  await mkdir(dir.join('node_modules', '@oazapfts'), { recursive: true });
  await symlink(runtime, dir.join('node_modules', '@oazapfts', 'runtime'));
}

function isOperation(value: unknown): value is Operation {
  return typeof value === 'function';
}
