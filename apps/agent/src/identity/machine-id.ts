import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

/** machine-id(5), and where D-Bus keeps it on systems without systemd. */
const LINUX_FILES = ['/etc/machine-id', '/var/lib/dbus/machine-id'] as const;
const IOREG_TIMEOUT_MS = 5_000;

/** Where a machine's own id is found; tests give others. */
export interface MachineIdSources {
  readonly platform: NodeJS.Platform;
  readonly files: readonly string[];
  /** What `ioreg` prints on macOS. */
  readonly ioreg: () => Promise<string>;
}

/** The sources of this machine. */
const MACHINE_ID_SOURCES: MachineIdSources = {
  platform: process.platform,
  files: LINUX_FILES,
  ioreg: async () => {
    const args = ['-rd1', '-c', 'IOPlatformExpertDevice'];
    const { stdout } = await promisify(execFile)('/usr/sbin/ioreg', args, { timeout: IOREG_TIMEOUT_MS });
    return stdout;
  },
};

/** The machine's own id, which stays over reinstalls of the agent; undefined where there is none, as in most containers. */
export async function readMachineId(sources = MACHINE_ID_SOURCES): Promise<string | undefined> {
  if (sources.platform === 'darwin') {
    const text = await sources.ioreg().catch(() => '');
    return /"IOPlatformUUID" = "([0-9A-Fa-f-]{36})"/.exec(text)?.[1]?.toLowerCase();
  }
  for (const file of sources.files) {
    const text = await readFile(file, 'utf8').catch(() => '');
    const id = /^([0-9a-fA-F]{32})\s*$/.exec(text)?.[1];
    if (id !== undefined) return id.toLowerCase();
  }
  return undefined;
}

/** What a control plane is told instead: the same for all agents of a machine, another at every control plane. */
export function machineIdFor(serverId: string, machineId: string): string {
  return createHash('sha256').update(`drawbridge machine v1\n${serverId}\n${machineId}`).digest('base64url');
}
