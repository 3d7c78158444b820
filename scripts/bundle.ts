// `npm run bundle [-- DIR]`: makes what is installed as a service or put into an image; in `dist`, unless said otherwise.
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeBundle } from './bundle/make-bundle.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const outDir = resolve(process.argv[2] ?? `${ROOT}dist`);

// A service may run as another user than who bundles.
process.umask(0o022);
try {
  await makeBundle(ROOT, outDir);
  process.stdout.write(`bundled into ${outDir}\n`);
} catch (error) {
  // A source that does not compile, a licence that is missing: the message names the file, and where we were says nothing.
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
