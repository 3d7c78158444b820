import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomic } from '@drawbridge/runtime/atomic-file';
import { makeDataDir } from '@drawbridge/runtime/data-dir';
import { UsageError } from './exit-codes.ts';

/** A control plane this user signed in to, under a name of their choice. */
export const Context = z.object({
  name: z.string().min(1).max(100),
  url: z.url(),
  /** Null: signed out. */
  token: z.string().nullable(),
  /** `session`: made by a login, ended by the logout. `token`: somebody else's to revoke. */
  kind: z.enum(['session', 'token']),
  /** PEM text: the file it came from may move. */
  ca: z.string().nullable(),
  user: z.string().nullable(),
  expires_at: z.string().nullable(),
});
export type Context = z.infer<typeof Context>;

/** Stands for the control plane that `up` runs on this machine; no context can be called so. */
export const LOCAL_CONTEXT = 'local';

const CONTEXTS_MAX = 500;
const ContextsFile = z.object({
  version: z.literal(1),
  current: z.string().nullable(),
  contexts: z.array(Context).max(CONTEXTS_MAX),
});
type ContextsFile = z.infer<typeof ContextsFile>;

/**
 * contexts.json in the data directory, which only its owner can read. A change replaces the whole file at once; of two
 * commands that change it in the same moment the later one wins.
 */
export class Contexts {
  readonly #dataDir: string;
  #file: ContextsFile;

  private constructor(dataDir: string, file: ContextsFile) {
    this.#dataDir = dataDir;
    this.#file = file;
  }

  /** Reads the file. One that is not there is empty; one that cannot be understood is an error that names it. */
  static async open(dataDir: string): Promise<Contexts> {
    return new Contexts(dataDir, await readContexts(fileIn(dataDir)));
  }

  get all(): readonly Context[] {
    return this.#file.contexts;
  }

  /** The name of the context in use, `local` included. */
  get currentName(): string | null {
    return this.#file.current;
  }

  get current(): Context | undefined {
    return this.#file.contexts.find(({ name }) => name === this.#file.current);
  }

  /** The context of that name. Throws UsageError when there is none. */
  get(name: string): Context {
    const found = this.#file.contexts.find((context) => context.name === name);
    if (found !== undefined) return found;
    throw new UsageError(`there is no context ${name}: "drawbridge context ls" shows those there are`);
  }

  /** Adds it, or replaces the one of that name, and makes it the current one. */
  async put(context: Context): Promise<void> {
    const others = this.#file.contexts.filter(({ name }) => name !== context.name);
    if (others.length >= CONTEXTS_MAX) throw new UsageError(`${CONTEXTS_MAX} contexts are enough: remove one first`);
    const contexts = [...others, context].sort((one, other) => (one.name < other.name ? -1 : 1));
    await this.#write({ ...this.#file, current: context.name, contexts });
  }

  /** Makes it the current one. */
  async use(name: string): Promise<void> {
    if (name !== LOCAL_CONTEXT) this.get(name);
    await this.#write({ ...this.#file, current: name });
  }

  /** Forgets the token, and keeps the rest for the next login. */
  async forgetToken(name: string): Promise<void> {
    const signedOut = { ...this.get(name), token: null, expires_at: null };
    const contexts = this.#file.contexts.map((context) => (context.name === name ? signedOut : context));
    await this.#write({ ...this.#file, contexts });
  }

  /** Forgets all of it. */
  async remove(name: string): Promise<void> {
    this.get(name);
    const current = this.#file.current === name ? null : this.#file.current;
    await this.#write({ ...this.#file, current, contexts: this.all.filter((context) => context.name !== name) });
  }

  async #write(file: ContextsFile): Promise<void> {
    makeDataDir(this.#dataDir);
    await writeFileAtomic(fileIn(this.#dataDir), `${JSON.stringify(file, undefined, 2)}\n`);
    this.#file = file;
  }
}

function fileIn(dataDir: string): string {
  return join(dataDir, 'contexts.json');
}

async function readContexts(path: string): Promise<ContextsFile> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      return { version: 1, current: null, contexts: [] };
    }
    throw error;
  }
  try {
    return ContextsFile.parse(JSON.parse(text));
  } catch (cause) {
    // Its content is not repeated: it holds tokens.
    throw new UsageError(`${path} cannot be understood: correct it, or remove it and sign in again`, { cause });
  }
}
