import type { TaskChannelMetadata } from '@drawbridge/protocol';
import { Progress } from './progress.ts';
import type { TaskDir } from './task-dir.ts';

/** A task between its start and its end, as its followers see it. */
export class LiveTask {
  readonly dir: TaskDir;
  readonly #progress = { output: new Progress(), result: new Progress() };
  readonly #streams: boolean;
  readonly #grown = { output: 0, result: 0 };

  /** Without `streams`, followers see nothing before the end, and then everything: the provider has no `stream_chunk`. */
  constructor(dir: TaskDir, streams: boolean) {
    this.dir = dir;
    this.#streams = streams;
  }

  get taskId(): string {
    return this.dir.taskId;
  }

  /** How far one of its files has grown. */
  progress(file: TaskChannelMetadata['file']): Progress {
    return this.#progress[file];
  }

  /** The first `bytes` bytes of `file` are on disk. */
  written(file: TaskChannelMetadata['file'], bytes: number): void {
    this.#grown[file] = bytes;
    if (this.#streams) this.#progress[file].advanceTo(bytes);
  }

  /** Nothing will be written any more. */
  end(): void {
    for (const file of ['output', 'result'] as const) {
      this.#progress[file].advanceTo(this.#grown[file]);
      this.#progress[file].end();
    }
  }
}
