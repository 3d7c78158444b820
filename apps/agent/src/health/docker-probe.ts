import { z } from 'zod';
import { type Clock, withTimeout } from '@drawbridge/link';
import type { HeartbeatPayload } from '@drawbridge/protocol';
import { httpRequest } from '@drawbridge/runtime';
import { AGENT_LIMITS } from '../limits.ts';

/** What a heartbeat says about Docker. */
export type DockerHealth = NonNullable<HeartbeatPayload['docker']>;

const VersionAnswer = z.object({ Version: z.string().max(64) });

/** Asks a Docker engine over its Unix socket whether it is there, which version, and how quickly it answers. Never throws. */
export async function probeDocker(socketPath: string, clock: Clock): Promise<DockerHealth> {
  const overtime = new AbortController();
  const ask = async (): Promise<DockerHealth> => {
    const startedAt = clock.monotonic();
    await get(socketPath, '/_ping', overtime.signal);
    const latency_ms = clock.monotonic() - startedAt;
    const version = VersionAnswer.safeParse(parseJson(await get(socketPath, '/version', overtime.signal)));
    return { reachable: true, latency_ms, ...(version.success && { version: version.data.Version }) };
  };
  try {
    return await withTimeout(clock, AGENT_LIMITS.dockerProbeTimeoutMs, ask(), () => new Error('no answer'));
  } catch {
    return { reachable: false };
  } finally {
    overtime.abort();
  }
}

function get(socketPath: string, path: string, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = httpRequest({ socketPath, path, signal, agent: false, headers: { host: 'docker' } }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
        if (body.length > AGENT_LIMITS.dockerProbeBytesMax) call.destroy(new Error(`${path}: too long an answer`));
      });
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200) resolve(body);
        else reject(new Error(`${path}: ${response.statusCode}`));
      });
    });
    call.on('error', reject);
    call.end();
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
