import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Daemon } from './daemon.ts';
import { drawbridge, type DrawbridgeOptions } from './drawbridge-command.ts';
import { runCli } from './run-cli.ts';
import { TempDir } from './temp-dir.ts';
import type { TestControlPlane } from './test-control-plane.ts';
import type { Command } from './test-process.ts';

/** How to start an agent. */
export interface TestAgentOptions extends DrawbridgeOptions {
  readonly controlPlane: Pick<TestControlPlane, 'url' | 'caFile' | 'api'>;
  /** What it dials, when that is not the control plane itself: a chaos proxy, or another address of it. */
  readonly url?: string;
  readonly name?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Kept when it is given, removed at the end when it is not. */
  readonly dataDir?: string;
  /** True when `dataDir` holds an identity already: it does not enrol again. */
  readonly isEnrolled?: boolean;
  /** Its agent.yaml. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** More of its command line. */
  readonly args?: readonly string[];
  /** More of the command line that enrols it. */
  readonly enrolArgs?: readonly string[];
  /** False: returns at once, for tests in which it cannot connect. */
  readonly waitUntilConnected?: boolean;
}

/** An agent as a user runs it: enrolled with a join token, then started. */
export class TestAgent extends Daemon {
  readonly name: string;
  readonly #options: TestAgentOptions;
  #agentId: string | undefined;

  private constructor(options: TestAgentOptions, dataDir: string | TempDir) {
    super(dataDir);
    this.#options = options;
    this.name = options.name ?? `agent-${(agentCount += 1)}`;
  }

  /** Enrols it, starts it and waits until it is connected. */
  static async start(options: TestAgentOptions): Promise<TestAgent> {
    const agent = new TestAgent(options, options.dataDir ?? (await TempDir.make('drawbridge-agent-')));
    try {
      // JSON is YAML.
      await writeFile(agent.#configFile, JSON.stringify(options.config ?? {}, null, 2));
      if (options.isEnrolled !== true) await agent.#enrol();
      await agent.launch();
      if (options.waitUntilConnected !== false) await agent.waitUntilUp();
      return agent;
    } catch (error) {
      await agent[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Its id, once it has been connected. */
  get agentId(): string {
    if (this.#agentId === undefined) throw new Error(`agent ${this.name} has not been connected yet`);
    return this.#agentId;
  }

  protected override command(): Command {
    const args = ['agent', '--data', this.dataDir, '--config', this.#configFile, ...(this.#options.args ?? [])];
    return drawbridge(args, this.#options);
  }

  protected override isUp(line: string): boolean {
    const agentId = /^connected (\S+) \S+$/.exec(line)?.[1];
    if (agentId !== undefined) this.#agentId = agentId;
    return agentId !== undefined;
  }

  async #enrol(): Promise<void> {
    const { controlPlane, url = controlPlane.url, labels = {}, enrolArgs = [] } = this.#options;
    const token = tokenOf(await controlPlane.api('POST', '/api/v1/join-tokens', {}));
    const args = ['agent', 'enroll', url, '--token', token, '--name', this.name, '--data', this.dataDir];
    for (const [key, value] of Object.entries(labels)) args.push('--label', `${key}=${value}`);
    if (controlPlane.caFile !== undefined) args.push('--ca', controlPlane.caFile);
    const { env, cwd, namespace, binary } = this.#options;
    const { code, stderr } = await runCli([...args, ...enrolArgs], { env, cwd, namespace, binary });
    if (code !== 0) throw new Error(`agent ${this.name} did not enrol (exit ${code}): ${stderr}`);
  }

  get #configFile(): string {
    return join(this.dataDir, 'agent.yaml');
  }
}

/** Names are unique for each control plane; a counter is enough. */
let agentCount = 0;

function tokenOf({ status, body }: { readonly status: number; readonly body: unknown }): string {
  if (typeof body === 'object' && body !== null && 'token' in body && typeof body.token === 'string') return body.token;
  throw new Error(`no join token, but ${status} ${JSON.stringify(body)}`);
}
