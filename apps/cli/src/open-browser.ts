import { spawn } from 'node:child_process';

/** Opens `url` in a browser where there is one to be seen: on a Mac, or in a graphical session. True when one was started. */
export async function openBrowser(url: string, env: NodeJS.ProcessEnv, platform = process.platform): Promise<boolean> {
  if (!/^https?:\/\//.test(url) || !hasScreen(env, platform)) return false;
  const child = spawn(platform === 'darwin' ? 'open' : 'xdg-open', [url], { stdio: 'ignore', detached: true });
  const { promise, resolve } = Promise.withResolvers<boolean>();
  child.once('spawn', () => resolve(true));
  child.once('error', () => resolve(false));
  // The browser may live on.
  child.unref();
  return promise;
}

function hasScreen(env: NodeJS.ProcessEnv, platform: NodeJS.Platform): boolean {
  if (platform === 'darwin') return env['SSH_CONNECTION'] === undefined;
  return [env['DISPLAY'], env['WAYLAND_DISPLAY']].some((name) => name !== undefined && name !== '');
}
