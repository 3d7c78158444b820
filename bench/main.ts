// `npm run bench`: measures the real programs, each figure beside a reference taken in the same run. See bench/README.md.
import { parseArgs } from 'node:util';

import { api } from './api.ts';
import { dispatch } from './dispatch.ts';
import { links } from './links.ts';
import { proxy } from './proxy.ts';
import { store } from './store.ts';
import { terminal } from './terminal.ts';
import { profileTunnel, tunnel } from './tunnel.ts';
import { wan } from './wan.ts';

const BENCHES = { api, dispatch, links, proxy, store, terminal, tunnel, wan } as const;

function isBench(name: string | undefined): name is keyof typeof BENCHES {
  return name !== undefined && Object.hasOwn(BENCHES, name);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { scale: { type: 'string' }, profile: { type: 'string' } },
});
const [name] = positionals;
if (values.scale !== undefined) process.env['DRAWBRIDGE_SCALE'] = values.scale;

if (!isBench(name) || positionals.length > 1) {
  console.error(`usage: npm run bench -- ${Object.keys(BENCHES).join('|')} [--scale 1] [--profile DIR]`);
  process.exitCode = name === undefined ? 0 : 2;
} else if (process.platform !== 'linux') {
  console.error('the benches read /proc: they run on Linux only');
  process.exitCode = 1;
} else if (values.profile !== undefined && name === 'tunnel') {
  await profileTunnel(values.profile);
} else {
  await BENCHES[name]();
}
