import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { BuildOptions } from 'esbuild';

/** Each file of a bundle that something starts or loads by its name, and the source it is made of. */
export const PROGRAMS = [
  { output: 'drawbridge.js', source: 'scripts/bundle/launcher.js' },
  { output: 'agent.js', source: 'apps/agent/src/main.ts' },
  { output: 'session-host.js', source: 'apps/agent/src/sessions/host-main.ts' },
  { output: 'control-plane.js', source: 'apps/control-plane/src/main.ts' },
  { output: 'cli.js', source: 'apps/cli/src/main.ts' },
  { output: 'sqlite-worker.js', source: 'apps/control-plane/src/store/sqlite/worker.ts' },
  // Loaded for terminals only, by `require`.
  { output: 'pino-pretty.cjs', source: 'node_modules/pino-pretty/index.js' },
] as const;

/** The compiled part of terminals for the platform at hand, looked for by its name: where there is none, a bundle has no terminals. */
const TERMINALS = `node_modules/@lydell/node-pty-${process.platform}-${process.arch}`;

/** Files that a bundle has as they are. */
const ASSETS = [
  { output: 'page', source: 'apps/control-plane/src/http/page' },
  { output: 'LICENSE', source: 'LICENSE' },
  { output: TERMINALS, source: TERMINALS },
] as const;

/** Those of them that the checkout `root` has. */
export function assetsOf(root: string): readonly (typeof ASSETS)[number][] {
  return ASSETS.filter(({ source }) => source !== TERMINALS || existsSync(join(root, source)));
}

/** What a bundle does without: compiled code that speeds ws up where it is installed. ws goes on in JavaScript. */
export const EXTERNALS = ['bufferutil', 'utf-8-validate'];

/** What packages of the CommonJS kind expect to be there. */
const REQUIRE =
  "import { createRequire as $createRequire } from 'node:module';\nconst require = $createRequire(import.meta.url);";

/**
 * How one program is bundled. Names stay as they are: a stack trace is read without the map beside it, and logs name classes.
 * What a program loads only when it is asked for becomes a file of its own.
 */
export function optionsOf({ output, source }: (typeof PROGRAMS)[number], root: string, outDir: string): BuildOptions {
  const isModule = !output.endsWith('.cjs');
  return {
    absWorkingDir: root,
    entryPoints: [{ in: source, out: output.replace(/\.c?js$/, '') }],
    outdir: outDir,
    outExtension: { '.js': isModule ? '.js' : '.cjs' },
    chunkNames: '[name]-[hash]',
    bundle: true,
    splitting: isModule,
    platform: 'node',
    target: 'node24',
    format: isModule ? 'esm' : 'cjs',
    external: EXTERNALS,
    minifyWhitespace: true,
    minifySyntax: true,
    sourcemap: 'linked',
    sourcesContent: false,
    legalComments: 'none',
    metafile: true,
    logLevel: 'silent',
    ...(isModule ? { banner: { js: REQUIRE } } : {}),
  };
}
