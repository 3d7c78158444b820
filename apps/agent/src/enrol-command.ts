import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { text } from 'node:stream/consumers';
import { AgentName, ControlError, Labels, firstIssue } from '@drawbridge/protocol';
import { DialError, makeDataDir, readTlsFiles } from '@drawbridge/runtime';
import { identityPath } from './access.ts';
import type { AgentArguments } from './arguments.ts';
import { enrol } from './identity/enrol.ts';
import { readIdentity, writeIdentity } from './identity/identity.ts';
import { readMachineId } from './identity/machine-id.ts';

/** `drawbridge agent enroll`: one identity a data directory, never replaced by accident. Resolves to what to print. */
export async function enrolCommand(wanted: AgentArguments, dataDir: string, signal: AbortSignal): Promise<string> {
  const path = identityPath(dataDir);
  const before = await readIdentity(path);
  if (before !== undefined) {
    throw new ControlError(
      'conflict',
      `${dataDir} holds the identity of agent ${before.name} already: remove ${path} to enrol anew`,
    );
  }
  const name = AgentName.safeParse(wanted.name ?? nameOfHost());
  if (!name.success) throw new ControlError('invalid_request', `--name: ${firstIssue(name.error)}`);
  const labels = Labels.safeParse(wanted.labels);
  if (!labels.success) throw new ControlError('invalid_request', `--label: ${firstIssue(labels.error)}`);
  makeDataDir(dataDir);
  const { ca, pin, clientCert: cert, clientKey: key } = wanted;
  const tls = readTlsFiles({ ca, pin, cert, key });
  const token = await readToken(wanted.token ?? '');
  const options = {
    url: requireUrl(wanted.url ?? ''),
    token,
    name: name.data,
    labels: labels.data,
    tls,
    proxy: wanted.proxy,
    machineId: await readMachineId(),
  };
  const identity = await enrol(options, signal).catch((error: unknown) => {
    if (error instanceof DialError) throw new ControlError('tunnel_unavailable', error.message, { cause: error });
    throw error;
  });
  await writeIdentity(path, identity);
  return `enrolled ${identity.agent_id} as ${identity.name}\n`;
}

/** The URL a machine dials; a token in it would end up in logs. */
function requireUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new ControlError('invalid_request', 'URL: expected http or https');
  return url.origin;
}

/** From `@FILE` or standard input, so that a token need not stand in the list of processes. */
async function readToken(given: string): Promise<string> {
  if (given === '-') return (await text(process.stdin)).trim();
  if (given.startsWith('@')) return (await readFile(given.slice(1), 'utf8')).trim();
  return given;
}

function nameOfHost(): string {
  const name = hostname()
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 40);
  return name === '' ? 'agent' : name;
}
