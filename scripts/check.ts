// `npm run check`: everything that must hold at every commit, in the order in which it is cheapest to fail.
import { spawnSync } from 'node:child_process';

const PROJECTS = [
  'packages/protocol',
  'packages/link',
  'packages/runtime',
  'packages/client',
  'packages/testkit',
  'apps/control-plane',
  'apps/agent',
  'apps/cli',
  '.',
];

const STEPS: readonly (readonly [string, readonly string[]])[] = [
  ['format', ['prettier', '--check', '--log-level', 'warn', '.']],
  ...PROJECTS.map((project) => [`types ${project}`, ['tsc', '-p', project]] as const),
  ['lint', ['oxlint', '--type-aware', '--deny-warnings']],
  ['unused', ['knip', '--no-progress']],
  ['unit tests', ['vitest', 'run', '--project', 'unit', '--reporter', 'dot']],
];

// Whoever runs all tests afterwards asks for none here.
const withTests = !process.argv.includes('--no-tests');

for (const [name, [command = '', ...args]] of STEPS) {
  if (name === 'unit tests' && !withTests) continue;
  const startedMs = performance.now();
  const result = spawnSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  const ok = result.status === 0;
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${name} (${seconds} s)`);
  if (!ok) {
    console.log(`${result.stdout}${result.stderr}${result.error?.message ?? ''}`);
    process.exit(1);
  }
}
