// Plain JavaScript: how our programs stay small. Called before anything else is loaded, from sources and from a bundle.
// Not by name: Node 20, which may start us, has no compile cache, and a missing name would end it here.
import module from 'node:module';
import { setFlagsFromString } from 'node:v8';

const V8_FLAGS = [
  // V8 lets the young generation of each thread grow to 48 MB.
  '--max-semi-space-size=2',
  '--semi-space-growth-factor=1',
  // It optimises the type stripper, which runs once.
  '--no-wasm-tier-up',
  '--no-wasm-dynamic-tiering',
];

/**
 * An agent rests most of its life, on machines that have other things to do: code is optimised after ten times as many calls.
 * What only its start needs stays as it is, and the optimisers, 5 MB of Node, are not read into memory.
 */
const AGENT_V8_FLAGS = [
  '--invocation-count-for-maglev=4000',
  '--invocation-count-for-maglev-osr=1000',
  '--invocation-count-for-turbofan=30000',
  '--invocation-count-for-osr=5000',
];

/**
 * Makes this process, which is about to be `program`, spare memory. What was compiled once is kept where the environment
 * says, or in `cacheDir`, or, without both, not at all.
 */
export function spareMemory(program, cacheDir) {
  for (const flag of V8_FLAGS) setFlagsFromString(flag);
  if (program === 'agent') for (const flag of AGENT_V8_FLAGS) setFlagsFromString(flag);
  if (cacheDir === undefined) return;
  // Threads and child processes learn of it from the environment.
  process.env.NODE_COMPILE_CACHE ??= cacheDir;
  module.enableCompileCache();
}
