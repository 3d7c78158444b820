import { access, constants, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';
import { ControlError } from '@drawbridge/protocol';
import type { ProviderProbe } from './provider.ts';

/**
 * The path of a program: an absolute path as it is, a name as the PATH finds it. Anything else would depend on where the
 * agent was started. `provider_unavailable`, with the reason, when it is missing or may not be run.
 */
export async function findBinary(binary: string, searchPath = process.env['PATH'] ?? ''): Promise<string> {
  for (const path of candidates(binary, searchPath)) if (await isProgram(path)) return path;
  const where = isAbsolute(binary) ? 'is missing or not executable' : 'is not on the PATH';
  throw new ControlError('provider_unavailable', `${binary} ${where}`);
}

/** Whether the program is there, as the answer to a probe. */
export async function probeBinary(binary: string, searchPath?: string): Promise<ProviderProbe> {
  try {
    await findBinary(binary, searchPath);
    return { available: true };
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    return { available: false, reason: error.message };
  }
}

function candidates(binary: string, searchPath: string): readonly string[] {
  if (isAbsolute(binary)) return [binary];
  if (binary.includes('/')) return [];
  return searchPath
    .split(delimiter)
    .filter(isAbsolute)
    .map((dir) => join(dir, binary));
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
