import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { TempDir } from '@drawbridge/testkit';

const run = promisify(execFile);

/** A terminal of tmux's own with one program in it: what is typed and what is on the screen. */
export class Tmux implements AsyncDisposable {
  readonly #dir: TempDir;

  private constructor(dir: TempDir) {
    this.#dir = dir;
  }

  /** Starts `words` on a screen of this size, as on an xterm. */
  static async start(
    words: readonly string[],
    env: NodeJS.ProcessEnv,
    size: { cols: number; rows: number },
  ): Promise<Tmux> {
    const made = new Tmux(await TempDir.make('drawbridge-tmux-'));
    const line = ['env', 'TERM=xterm-256color', ...words].map((word) => `'${word}'`).join(' ');
    const { cols, rows } = size;
    await made.#tmux(['-f', '/dev/null', 'new-session', '-d', '-x', `${cols}`, '-y', `${rows}`, line], env);
    await made.#tmux(['set-option', '-g', 'status', 'off']);
    await made.resize(size);
    return made;
  }

  /** Presses keys, by tmux's names for those that have one. */
  async press(...keys: readonly string[]): Promise<void> {
    await this.#tmux(['send-keys', ...keys]);
  }

  async resize({ cols, rows }: { cols: number; rows: number }): Promise<void> {
    await this.#tmux(['resize-window', '-x', `${cols}`, '-y', `${rows}`]);
  }

  /** Every line of the screen, and where the cursor is. */
  async screen(): Promise<string> {
    const { stdout } = await this.#tmux(['capture-pane', '-p']);
    const { stdout: cursor } = await this.#tmux(['display-message', '-p', '#{cursor_x},#{cursor_y}']);
    return `${stdout}${cursor}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tmux(['kill-server']).catch(() => undefined);
    await this.#dir[Symbol.asyncDispose]();
  }

  #tmux(words: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<{ stdout: string }> {
    return run('tmux', ['-S', this.#dir.join('socket'), ...words], { env });
  }
}
