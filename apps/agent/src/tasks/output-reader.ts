import type { FileHandle } from 'node:fs/promises';
import { ControlError } from '@drawbridge/protocol';
import { AGENT_LIMITS } from '../limits.ts';
import { errnoOf } from './errno.ts';
import type { Progress } from './progress.ts';
import { openTaskFile } from './task-dir.ts';

/** One reading of one file of a task. */
export interface ReadRequest {
  readonly path: string;
  /** How far the file has grown, while its task lives; undefined once it has ended: then the disk says it all. */
  readonly progress: Progress | undefined;
  /** The offset of the first byte. */
  readonly since: number;
  /** Waits for more until the task has ended. */
  readonly follow: boolean;
}

/**
 * The bytes of a task's file from `since` on, in chunks of at most 64 KiB. Nothing is read before it is asked for, so a
 * slow consumer costs one chunk. Whoever stops early, or aborts `signal`, leaves no open file.
 */
export async function* readTaskFile(request: ReadRequest, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
  const { path, progress, since, follow } = request;
  // Before its first byte a file may not exist.
  if (follow && since === 0) await progress?.past(0, signal);
  await using file = await openIfThere(path);
  const sizeBytes = progress === undefined ? await sizeOf(file) : undefined;
  const readable = () => sizeBytes ?? progress?.bytes ?? 0;
  if (since > readable()) {
    throw new ControlError('invalid_request', `since ${since} is past the end: there are ${readable()} bytes`);
  }
  let offset = since;
  for (;;) {
    signal.throwIfAborted();
    if (offset < readable()) {
      const chunk = await readChunk(file, offset, readable() - offset);
      // Only the task itself can have made its file shorter: there is nothing more to give.
      if (chunk.byteLength === 0) return;
      offset += chunk.byteLength;
      yield chunk;
    } else if (!follow || progress === undefined || progress.ended) {
      return;
    } else {
      await progress.past(offset, signal);
    }
  }
}

/** How long a task's file is on disk; 0 before its first byte. */
export async function sizeOfTaskFile(path: string): Promise<number> {
  await using file = await openIfThere(path);
  return await sizeOf(file);
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await openTaskFile(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function sizeOf(file: FileHandle | undefined): Promise<number> {
  return file === undefined ? 0 : (await file.stat()).size;
}

async function readChunk(file: FileHandle | undefined, offset: number, leftBytes: number): Promise<Uint8Array> {
  const chunk = Buffer.allocUnsafeSlow(Math.min(leftBytes, AGENT_LIMITS.outputChunkBytesMax));
  if (file === undefined) return chunk.subarray(0, 0);
  const { bytesRead } = await file.read(chunk, 0, chunk.byteLength, offset);
  return chunk.subarray(0, bytesRead);
}
