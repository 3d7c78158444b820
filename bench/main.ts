// `npm run bench`: measures the real programs, each figure beside a reference taken in the same run. See bench/README.md.
import { parseArgs } from 'node:util';

import { dispatch } from './dispatch.ts';
import { links } from './links.ts';

const BENCHES = { dispatch, links } as const;

function isBench(name: string | undefined): name is keyof typeof BENCHES {
  return name !== undefined && Object.hasOwn(BENCHES, name);
}

const { values, positionals } = parseArgs({ allowPositionals: true, options: { scale: { type: 'string' } } });
const [name] = positionals;
if (values.scale !== undefined) process.env['DRAWBRIDGE_SCALE'] = values.scale;

if (!isBench(name) || positionals.length > 1) {
  console.error(`usage: npm run bench -- ${Object.keys(BENCHES).join('|')} [--scale 1]`);
  process.exitCode = name === undefined ? 0 : 2;
} else if (process.platform !== 'linux') {
  console.error('the benches read /proc: they run on Linux only');
  process.exitCode = 1;
} else {
  await BENCHES[name]();
}
