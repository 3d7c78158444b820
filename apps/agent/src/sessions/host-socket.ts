import { join } from 'node:path';
import { ControlError } from '@drawbridge/protocol';

/** What fits into a `sockaddr_un`, with its ending NUL, on every system: 104 bytes on macOS, 108 on Linux (unix(7)). */
const PATH_BYTES_MAX = 103;

/** The directory of everything that belongs to sessions. */
export function sessionsDirOf(dataDir: string): string {
  return join(dataDir, 'sessions');
}

/**
 * Where an agent meets its session host. The number is the version of what they say to each other: an agent that says it differently
 * starts a host of its own, and the old one stays until its sessions have ended. Throws ControlError `unsupported` for a path too long.
 */
export function hostSocketOf(dataDir: string): string {
  const path = join(sessionsDirOf(dataDir), 'host-1.sock');
  if (Buffer.byteLength(path) <= PATH_BYTES_MAX) return path;
  const message = `no sessions: ${path} is longer than the ${PATH_BYTES_MAX} bytes of a unix socket; choose a shorter data directory`;
  throw new ControlError('unsupported', message);
}
