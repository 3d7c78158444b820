import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';

/** From the order to the process, and to its known end. */
export interface Latency {
  readonly startMs: number;
  readonly endMs: number;
}

/** A script that says in `file` when it began. */
export function stampScript(file: string): string {
  return `date +%s%N > '${file}'\n`;
}

/**
 * Runs `work`, which runs `stampScript(file)`. One machine, one clock: the script's nanoseconds and our milliseconds are
 * comparable, and ours are cut off, so that what is reported is up to a millisecond too long.
 */
export async function latencyOf(file: string, work: () => Promise<void>): Promise<Latency> {
  const orderedMs = Date.now();
  await work();
  const endedMs = Date.now();
  const startedMs = Number(await readFile(file, 'utf8')) / 1e6;
  return { startMs: startedMs - orderedMs, endMs: endedMs + 1 - orderedMs };
}

/** What the same script costs without us. */
export async function runDirectly(scriptFile: string): Promise<void> {
  const child = spawn('/bin/sh', [scriptFile], { stdio: 'ignore', detached: true });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`/bin/sh ended with ${String(code)}`);
}
