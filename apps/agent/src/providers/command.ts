import { ControlError } from '@drawbridge/protocol';
import { findBinary, probeBinary } from './find-binary.ts';
import type { Provider, ProviderCommand, ProviderProbe, ProviderSettings, ProviderTask } from './provider.ts';

/** What a placeholder in an argument stands for. */
const PLACEHOLDERS = {
  task_file: (task) => task.taskFile,
  work_dir: (task) => task.workDir,
  result_file: (task) => task.resultFile,
  mode: (task) => task.mode,
  model: (task) => task.model,
} as const satisfies Record<string, (task: ProviderTask) => string | undefined>;
type Placeholder = keyof typeof PLACEHOLDERS;

const PLACEHOLDER = /\{([a-z_]+)\}/g;

/** Operators choose mode and model: neither may become an option of the program, or more than a word. */
const CHOICE = /^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$/;

/**
 * A program of the user's own: `binary` with `args`, in which `{task_file}`, `{work_dir}`, `{result_file}`, `{mode}` and
 * `{model}` stand for the task's values, alone or inside an argument. No shell reads them: a value stays in its argument.
 * A program whose arguments name the result file writes it; what any other prints is the result. A task must bring the mode
 * and the model if the arguments name them, and must not otherwise.
 */
export class CommandProvider implements Provider {
  readonly name: string;
  readonly actions: readonly string[];
  readonly #binary: string;
  readonly #args: readonly string[];
  readonly #envNames: readonly string[];
  readonly #placeholders: ReadonlySet<Placeholder>;

  constructor(name: string, actions: readonly string[], settings: ProviderSettings) {
    if (settings.binary === undefined) throw new ControlError('invalid_request', `provider ${name} names no binary`);
    this.name = name;
    this.actions = actions;
    this.#binary = settings.binary;
    this.#args = settings.args ?? [];
    this.#envNames = settings.env ?? [];
    this.#placeholders = new Set(this.#args.flatMap((arg) => placeholdersIn(name, arg)));
  }

  probe(): Promise<ProviderProbe> {
    return probeBinary(this.#binary);
  }

  async command(task: ProviderTask): Promise<ProviderCommand> {
    this.#checkChoice('mode', task.mode);
    this.#checkChoice('model', task.model);
    const args = this.#args.map((arg) => arg.replace(PLACEHOLDER, (_match, name) => valueOf(name, task)));
    return {
      argv: [await findBinary(this.#binary), ...args],
      envNames: this.#envNames,
      result: this.#placeholders.has('result_file') ? 'file' : 'stdout',
    };
  }

  #checkChoice(choice: 'mode' | 'model', value: string | undefined): void {
    const named = this.#placeholders.has(choice);
    if (value === undefined) {
      if (named) throw new ControlError('invalid_request', `provider ${this.name} needs a ${choice}`);
    } else if (!named) {
      throw new ControlError('unsupported', `provider ${this.name} has no ${choice}`);
    } else if (!CHOICE.test(value)) {
      throw new ControlError('invalid_request', `${choice} ${JSON.stringify(value)} is not a word`);
    }
  }
}

function placeholdersIn(provider: string, arg: string): readonly Placeholder[] {
  return Array.from(arg.matchAll(PLACEHOLDER), ([match, name]) => {
    if (name !== undefined && isPlaceholder(name)) return name;
    throw new ControlError('invalid_request', `provider ${provider}: ${match} in ${JSON.stringify(arg)} is unknown`);
  });
}

function valueOf(name: string, task: ProviderTask): string {
  return (isPlaceholder(name) ? PLACEHOLDERS[name](task) : undefined) ?? '';
}

function isPlaceholder(name: string): name is Placeholder {
  return Object.hasOwn(PLACEHOLDERS, name);
}
