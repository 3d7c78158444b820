import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A new, empty directory that is gone, with everything in it, when its owner's block ends. */
export class TempDir implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** The real path: on some machines the temporary directory is a symbolic link, and programs print what it points to. */
  static async make(prefix = 'drawbridge-'): Promise<TempDir> {
    return new TempDir(await realpath(await mkdtemp(join(tmpdir(), prefix))));
  }

  /** A path inside the directory. */
  join(...parts: string[]): string {
    return join(this.path, ...parts);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A process that is just dying may still write: removing is tried again.
    await rm(this.path, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
  }
}
