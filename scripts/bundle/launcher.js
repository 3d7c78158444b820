#!/usr/bin/env node
// The `drawbridge` of a bundle, plain JavaScript: starts the program that the first word names.
import { programOf } from '../program-of.js';
import { spareMemory } from '../spare-memory.js';

const NODE_MAJOR_MIN = 24;

if (Number.parseInt(process.versions.node, 10) < NODE_MAJOR_MIN) {
  process.stderr.write(`drawbridge needs Node ${NODE_MAJOR_MIN}; this is ${process.versions.node}\n`);
  process.exitCode = 1;
} else {
  const program = programOf(process.argv.slice(2));
  spareMemory(program, `${import.meta.dirname}/.compile-cache`);
  await import(new URL(`${program}.js`, import.meta.url).href);
}
