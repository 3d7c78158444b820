// `npm test`: every test, and at the end one line any reader understands.
import { readFileSync, rmSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const report = join(tmpdir(), `drawbridge-test-${process.pid}.json`);
const args = [
  'run',
  '--reporter',
  'default',
  '--reporter',
  'json',
  '--outputFile.json',
  report,
  ...process.argv.slice(2),
];
const run = spawnSync('vitest', args, { stdio: 'inherit' });
try {
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests } = JSON.parse(readFileSync(report, 'utf8'));
  console.log(`${numPassedTests} passed, ${numFailedTests} failed, ${numPendingTests + numTodoTests} skipped`);
} catch {
  console.log('0 passed, 1 failed, 0 skipped');
  process.exitCode = 1;
}
rmSync(report, { force: true });
if (run.status !== 0) process.exitCode = run.status ?? 1;
