import { streamCli, type TestControlPlane, type TestProcess } from '@drawbridge/testkit';

/** Whom to reach, and how. */
export interface OperatorOptions {
  readonly controlPlane: TestControlPlane;
  readonly agentId: string;
  /** Ports of the agent's machine. */
  readonly targetPorts: readonly number[];
  /** What is dialled, when that is not the control plane itself. */
  readonly via?: string | undefined;
  readonly env?: NodeJS.ProcessEnv;
}

/** An operator's end of a tunnel as a user runs it: `drawbridge forward`, with a local port for each target. */
export interface Operator {
  readonly process: TestProcess;
  readonly ports: readonly number[];
}

const START_TIMEOUT_MS = 30_000;

export async function startOperator({
  controlPlane,
  agentId,
  targetPorts,
  via = controlPlane.url,
  env = {},
}: OperatorOptions): Promise<Operator> {
  const words = ['forward', agentId, ...targetPorts.map((port) => `0:127.0.0.1:${port}`), '--json'];
  const process = await streamCli(words, {
    env: { ...env, DRAWBRIDGE_URL: via, DRAWBRIDGE_TOKEN: controlPlane.token, DRAWBRIDGE_CA: controlPlane.caFile },
  });
  const listening = () => {
    const ports = process.stdout.lines.flatMap(portIn);
    return ports.length === targetPorts.length ? ports : undefined;
  };
  try {
    const ports = await process.waitFor(listening, { what: 'the forwarded ports', timeoutMs: START_TIMEOUT_MS });
    return { process, ports };
  } catch (error) {
    await process[Symbol.asyncDispose]();
    throw error;
  }
}

/** The local port of a line that says where it listens. */
function portIn(line: string): number[] {
  const said: unknown = JSON.parse(line);
  if (typeof said !== 'object' || said === null || !('type' in said) || said.type !== 'listening') return [];
  return 'port' in said && typeof said.port === 'number' ? [said.port] : [];
}
