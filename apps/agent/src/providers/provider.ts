import type { AgentInfo } from '@drawbridge/protocol';

/** What the control plane may ask of a provider (S0-080). */
const PROVIDER_ACTIONS = ['execute_task', 'update_config', 'stream_chunk', 'reset_context'] as const;
export type ProviderAction = (typeof PROVIDER_ACTIONS)[number];

/** What a provider gets to know of the task it is to run. */
export interface ProviderTask {
  readonly instructions: string;
  /** The instructions as a file: `input/TASK.md`. */
  readonly taskFile: string;
  readonly workDir: string;
  /** Where the answer belongs: `output/result.md`. */
  readonly resultFile: string;
  readonly mode: string | undefined;
  readonly model: string | undefined;
}

/** The process that runs a task. */
export interface ProviderCommand {
  /** Program and arguments; no shell ever reads them. */
  readonly argv: readonly [string, ...string[]];
  /** Names of variables that are handed on from the agent's environment, beside the usual few. */
  readonly envNames: readonly string[];
  /** `stdout`: what it prints is the result. `file`: it writes the result file itself. */
  readonly result: 'stdout' | 'file';
}

/** Whether a provider can run here. */
export interface ProviderProbe {
  readonly available: boolean;
  /** Why not. */
  readonly reason?: string;
  readonly version?: string;
}

/**
 * Something that carries out tasks on this machine. A print-mode program is one process per task, told by `command`; a
 * driver that talks to its process will say so beside it.
 */
export interface Provider {
  readonly name: string;
  readonly actions: readonly string[];
  /** Looks whether the provider can run; never throws. */
  probe(): Promise<ProviderProbe>;
  /** The process for `task`. Throws a `ControlError` for a task, mode or model the provider cannot take. */
  command(task: ProviderTask): Promise<ProviderCommand>;
}

/** One provider in the agent's configuration. */
export interface ProviderSettings {
  readonly kind: 'shell' | 'command';
  /** A path, or a name to be found on the PATH. */
  readonly binary?: string;
  readonly args?: readonly string[];
  readonly actions?: readonly string[];
  readonly env?: readonly string[];
}

/** A provider as `agent.info` shows it. */
export type ProviderInfo = AgentInfo['providers'][number];
