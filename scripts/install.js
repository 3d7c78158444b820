// Plain JavaScript for any Node >= 20: installs the lockfile's packages when they are missing or stale.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { OWN_NODE, ROOT } from './launch.js';

const STAMP = `${ROOT}node_modules/.drawbridge-lock`;

// Not `npm ci`: it refuses a lockfile without the optional packages of other platforms, which a mirror may not have.
/** Makes `node_modules` match the lockfile; says one line when there is something to do. Resolves to whether it worked. */
export async function ensureInstalled() {
  const wanted = createHash('sha256')
    .update(readFileSync(`${ROOT}package-lock.json`))
    .digest('hex');
  if (existsSync(OWN_NODE) && existsSync(STAMP) && readFileSync(STAMP, 'utf8') === wanted) return true;
  process.stderr.write('Installing dependencies (once, about half a minute) …\n');
  const { code, output } = await run('npm', [
    'install',
    '--no-save',
    '--silent',
    '--no-audit',
    '--no-fund',
    '--engine-strict=false',
  ]);
  if (code !== 0 || !existsSync(OWN_NODE)) {
    process.stderr.write(`npm install failed with exit code ${code}\n${output}\n`);
    return false;
  }
  await warmUp();
  writeFileSync(STAMP, wanted);
  return true;
}

/** Loads each program once: what is stripped and compiled now makes every later start quicker and smaller. */
async function warmUp() {
  for (const args of [['--version'], ['agent', '--help'], ['server', '--help']]) {
    await run(OWN_NODE, [`${ROOT}bin/drawbridge`, ...args]);
  }
}

function run(command, args) {
  const env = { ...process.env, npm_config_loglevel: 'error' };
  const child = spawn(command, args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const keep = (chunk) => (output = (output + chunk).slice(-8_000));
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: 1, output: error.message }));
    child.once('close', (code) => resolve({ code: code ?? 1, output }));
  });
}
