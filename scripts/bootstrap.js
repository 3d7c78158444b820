// Plain JavaScript for any Node >= 20: what `npm start`, `npm test` and the other scripts run.
import { ensureInstalled } from './install.js';
import { ROOT, runOwnNode } from './launch.js';

const CLI = `${ROOT}apps/cli/src/main.ts`;

const SCRIPTS = {
  start: (args) => runOwnNode([CLI, 'up', '--data', `${ROOT}.drawbridge`, ...args], { owned: true }),
  bundle: (args) => runOwnNode([`${ROOT}scripts/bundle.ts`, ...args]),
  dev: (args) => runOwnNode(['--watch', CLI, 'up', '--data', `${ROOT}.drawbridge`, ...args]),
  test: (args) => runOwnNode([`${ROOT}scripts/test.ts`, ...args]),
  check: (args) => runOwnNode([`${ROOT}scripts/check.ts`, ...args]),
  bench: (args) => runOwnNode([`${ROOT}bench/main.ts`, ...args]),
};

const [name = '', ...args] = process.argv.slice(2);
if (!Object.hasOwn(SCRIPTS, name)) {
  process.stderr.write(`usage: node scripts/bootstrap.js ${Object.keys(SCRIPTS).join('|')}\n`);
  process.exitCode = 2;
} else {
  process.exitCode = (await ensureInstalled()) ? await SCRIPTS[name](args) : 1;
}
