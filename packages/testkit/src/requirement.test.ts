import { expect, it } from 'vitest';
import { decide, requires } from './requirement.ts';

it('runs when nothing is missing, in silence', () => {
  const said: string[] = [];
  expect(decide([], 'all', (line) => said.push(line))).toBe(true);
  expect(said).toEqual([]);
  expect(requires()).toBe(true);
});

it('skips with one line that says what to do', () => {
  const said: string[] = [];
  const run = decide(['nft (install nftables)', 'root (run it as root)'], undefined, (line) => said.push(line));
  expect(run).toBe(false);
  expect(said).toEqual(['skipped: needs nft (install nftables), root (run it as root)']);
});

it('fails instead of skipping when everything is required', () => {
  const say = () => expect.fail('said something');
  expect(() => decide(['nft (install nftables)'], 'all', say)).toThrow(
    'DRAWBRIDGE_REQUIRE=all, but skipped: needs nft (install nftables)',
  );
});
