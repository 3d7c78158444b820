import { mkdir } from 'node:fs/promises';
import { makePki, TempDir, TestAgent, TestControlPlane } from '@drawbridge/testkit';
import { writeServerConfig } from '../load/server-config.ts';
import type { Carrier, Part } from './carrier.ts';
import { startOperator } from './operator.ts';

/** How to set it up. */
export interface RigOptions {
  /** Makes what agent and operators dial, when that is not the control plane itself. */
  readonly viaOf?: (url: string) => Promise<string>;
  /** Where the programs leave a CPU profile each when they end. */
  readonly profileDir?: string | undefined;
}

/** A carrier that is a tunnel. */
export interface Forward extends Carrier {
  /** One for each target. */
  readonly ports: readonly number[];
  /** To the operator's process. */
  signal(name: 'SIGSTOP' | 'SIGCONT'): void;
}

/** A real control plane over TLS and a real agent, for tunnels between them. */
export class Rig implements AsyncDisposable {
  readonly controlPlane: TestControlPlane;
  readonly agent: TestAgent;
  readonly #options: RigOptions;
  readonly #ownership: AsyncDisposableStack;

  private constructor(
    controlPlane: TestControlPlane,
    agent: TestAgent,
    options: RigOptions,
    ownership: AsyncDisposableStack,
  ) {
    this.controlPlane = controlPlane;
    this.agent = agent;
    this.#options = options;
    this.#ownership = ownership;
  }

  static async start(options: RigOptions = {}): Promise<Rig> {
    await using ownership = new AsyncDisposableStack();
    const dir = ownership.use(await TempDir.make('drawbridge-bench-'));
    const { profileDir, viaOf } = options;
    if (profileDir !== undefined) await mkdir(profileDir, { recursive: true });
    const configFile = dir.join('drawbridge.yaml');
    await writeServerConfig(configFile);
    const controlPlane = await TestControlPlane.start({
      tls: await makePki(dir.path),
      args: ['--config', configFile],
      env: profileEnv(profileDir, 'relay'),
    });
    ownership.use(controlPlane);
    const agent = await TestAgent.start({
      controlPlane,
      env: profileEnv(profileDir, 'agent'),
      ...(viaOf === undefined ? {} : { url: await viaOf(controlPlane.url) }),
    });
    ownership.use(agent);
    return new Rig(controlPlane, agent, options, ownership.move());
  }

  /** A tunnel with an operator of its own, who forwards a local port to each of `targetPorts` of the agent's machine. */
  async forward(...targetPorts: readonly number[]): Promise<Forward> {
    const { profileDir, viaOf } = this.#options;
    const via = await viaOf?.(this.controlPlane.url);
    const { controlPlane, agent } = this;
    const env = profileEnv(profileDir, 'operator');
    const operator = await startOperator({ controlPlane, agentId: agent.agentId, targetPorts, via, env });
    const [port] = operator.ports;
    if (port === undefined) throw new Error('forward nothing?');
    const { process } = operator;
    return {
      port,
      ports: operator.ports,
      pids: () => ({ operator: [process.pid], relay: [controlPlane.pid], agent: [agent.pid] }),
      signal: (name) => process.signal(name),
      [Symbol.asyncDispose]: async () => {
        if (profileDir !== undefined) await process.stop();
        await process[Symbol.asyncDispose]();
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A profile is written at an end that is not violent.
    if (this.#options.profileDir !== undefined) {
      await this.agent.stop();
      await this.controlPlane.stop();
    }
    await this.#ownership.disposeAsync();
  }
}

function profileEnv(dir: string | undefined, part: Part): NodeJS.ProcessEnv {
  if (dir === undefined) return {};
  return { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${dir}/${part} --cpu-prof-interval=500` };
}
