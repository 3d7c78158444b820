import { existsSync } from 'node:fs';
import { findProgram } from './find-program.ts';
import { canMakeNamespaces } from './namespaces.ts';
import { isPostgresThere } from './postgres-there.ts';
import { postgresProgram } from './postgres-program.ts';

/** What a test may need of the machine: whether it is there, and what to do when it is not. */
const REQUIREMENTS = {
  linux: { isMet: () => process.platform === 'linux', remedy: 'run it on Linux' },
  root: { isMet: () => process.getuid?.() === 0, remedy: 'run it as root' },
  netns: { isMet: () => canMakeNamespaces().possible, remedy: 'run it as root on Linux with iproute2' },
  nft: { isMet: () => findProgram('nft') !== undefined, remedy: 'install nftables' },
  iptables: { isMet: () => findProgram('iptables') !== undefined, remedy: 'install iptables' },
  firewall: { isMet: () => findProgram('nft', 'iptables') !== undefined, remedy: 'install nftables or iptables' },
  openssl: { isMet: () => findProgram('openssl') !== undefined, remedy: 'install openssl' },
  faketime: { isMet: () => findProgram('faketime') !== undefined, remedy: 'install faketime' },
  git: { isMet: () => findProgram('git') !== undefined, remedy: 'install git' },
  bwrap: { isMet: () => findProgram('bwrap') !== undefined, remedy: 'install bubblewrap' },
  systemd: { isMet: () => findProgram('systemd-analyze') !== undefined, remedy: 'install systemd' },
  docker: { isMet: () => findProgram('docker') !== undefined, remedy: 'install docker.io' },
  dockerd: { isMet: () => findProgram('dockerd') !== undefined, remedy: 'install docker.io' },
  chromium: { isMet: () => findProgram('chromium', 'chromium-browser') !== undefined, remedy: 'install chromium' },
  nats: { isMet: () => findProgram('nats-server') !== undefined, remedy: 'install nats-server' },
  ssh: { isMet: () => findProgram('ssh') !== undefined, remedy: 'install openssh-client' },
  sshd: { isMet: () => isSshServerThere(), remedy: 'install openssh-server, and run it as root' },
  socat: { isMet: () => findProgram('socat') !== undefined, remedy: 'install socat' },
  zsh: { isMet: () => findProgram('zsh') !== undefined, remedy: 'install zsh' },
  fish: { isMet: () => findProgram('fish') !== undefined, remedy: 'install fish' },
  terminal: { isMet: () => isScriptOfUtilLinux(), remedy: 'install the script command of util-linux' },
  tmux: { isMet: () => findProgram('tmux') !== undefined, remedy: 'install tmux' },
  vi: { isMet: () => findProgram('vi') !== undefined, remedy: 'install vim-tiny' },
  less: { isMet: () => findProgram('less') !== undefined, remedy: 'install less' },
  promtool: { isMet: () => findProgram('promtool') !== undefined, remedy: 'install prometheus' },
  postgres: { isMet: () => isPostgresThere(), remedy: 'start PostgreSQL, or set DRAWBRIDGE_TEST_POSTGRES_URL' },
  initdb: { isMet: () => postgresProgram('initdb') !== undefined, remedy: 'install postgresql' },
} as const satisfies Record<string, { readonly isMet: () => boolean; readonly remedy: string }>;

/** It becomes somebody else for each user, which root alone may. It is never in the PATH of ordinary accounts. */
function isSshServerThere(): boolean {
  return process.platform === 'linux' && process.getuid?.() === 0 && existsSync('/usr/sbin/sshd');
}

/** `script -c` gives a program a terminal; the one of macOS is called otherwise. */
function isScriptOfUtilLinux(): boolean {
  return process.platform === 'linux' && findProgram('script') !== undefined;
}

/** The name of something a test may need. */
export type Requirement = keyof typeof REQUIREMENTS;

/**
 * For `describe.runIf`: true when everything is there. Otherwise says in one line what to do about it, or, with
 * DRAWBRIDGE_REQUIRE=all, throws: then a skip is a failure.
 */
export function requires(...names: readonly Requirement[]): boolean {
  return decide(
    names.filter((name) => !REQUIREMENTS[name].isMet()).map((name) => `${name} (${REQUIREMENTS[name].remedy})`),
    process.env['DRAWBRIDGE_REQUIRE'],
    (line) => process.stderr.write(`${line}\n`),
  );
}

/** The rule behind `requires`: what is missing, what DRAWBRIDGE_REQUIRE says, and where a skip is told. */
export function decide(missing: readonly string[], require: string | undefined, say: (line: string) => void): boolean {
  if (missing.length === 0) return true;
  const line = `skipped: needs ${missing.join(', ')}`;
  if (require === 'all') throw new Error(`DRAWBRIDGE_REQUIRE=all, but ${line}`);
  say(line);
  return false;
}
