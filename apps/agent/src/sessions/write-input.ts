import type { Writable } from 'node:stream';
import { AGENT_LIMITS } from '../limits.ts';

/** Gives a process input. Resolves when there is room for more, or nobody takes any. */
export function writeInput(stream: Writable, bytes: Uint8Array): Promise<void> {
  if (!stream.writable) return Promise.resolve();
  stream.write(bytes);
  if (stream.writableLength <= AGENT_LIMITS.sessionInputBytesMax) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      stream.off('drain', done);
      stream.off('close', done);
      resolve();
    };
    stream.on('drain', done);
    stream.on('close', done);
  });
}
