import { readFile } from 'node:fs/promises';
import { relative } from 'node:path';
import type { Plugin } from 'esbuild';

/** Where a source names a file beside it, and what it says in a bundle, where all code is in one folder. */
interface Reference {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** All places that name a file by where they are. */
export const REFERENCES: readonly Reference[] = [
  { file: 'apps/agent/src/service/installation.ts', from: "'../../../../dist/", to: "'./" },
  { file: 'apps/agent/src/service/installation.ts', from: "'../../../../scripts/", to: "'./scripts/" },
  { file: 'apps/agent/src/sessions/host-client.ts', from: "'./host-main.ts'", to: "'./session-host.js'" },
  { file: 'apps/cli/src/access.ts', from: "'../../../.drawbridge'", to: "'./.drawbridge'" },
  { file: 'apps/cli/src/launcher.ts', from: "'../../../bin/drawbridge'", to: "'./drawbridge.js'" },
  { file: 'apps/control-plane/src/http/routes/pages.ts', from: '`../page/', to: '`./page/' },
  { file: 'apps/control-plane/src/store/sqlite/open-sqlite.ts', from: "'./worker.ts'", to: "'./sqlite-worker.js'" },
  // A package, looked for from where the code is.
  { file: 'packages/runtime/src/frame-socket/mask.ts', from: '(import.meta.url)', to: '(import.meta.filename)' },
  { file: 'packages/runtime/src/logger.ts', from: "('pino-pretty')", to: "('./pino-pretty.cjs')" },
];

/** Makes what `REFERENCES` lists right for a bundle, and refuses a source that looks for files without being listed. */
export function referencesPlugin(root: string): Plugin {
  return {
    name: 'references',
    setup(build) {
      build.onLoad({ filter: /[\\/](apps|packages)[\\/][^\\/]+[\\/]src[\\/].*\.ts$/ }, async ({ path }) => ({
        contents: redirect(relative(root, path), await readFile(path, 'utf8')),
        loader: 'ts',
      }));
    },
  };
}

/** The source with its references redirected. Throws when it has others than the listed ones. */
export function redirect(file: string, source: string, references = REFERENCES): string {
  const own = references.filter((reference) => reference.file === file);
  const count = source.split('import.meta').length - 1;
  const refuse = (what: string) => new Error(`${file}: ${what}: see scripts/bundle/references.ts`);
  if (count !== own.length) throw refuse(`names ${count} files beside it, and ${own.length} are listed`);
  return own.reduce((text, { from, to }) => {
    if (text.split(from).length !== 2) throw refuse(`${from} is not there once`);
    return text.replace(from, to);
  }, source);
}
