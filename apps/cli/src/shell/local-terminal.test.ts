import { expect, it } from 'vitest';
import { isTerminal, rawMode, sizeOf, TitleStatus } from './local-terminal.ts';
import type { LocalTerminal } from './local-terminal.ts';

/** Both streams as far as they are looked at, and what becomes of them. A stream that is no terminal has no size and no modes. */
function streams({ input = true, output = true, columns = 100, rows = 30 } = {}) {
  const written: string[] = [];
  const modes: boolean[] = [];
  const terminal = {
    input: input ? { isTTY: true, setRawMode: (isRaw: boolean) => modes.push(isRaw) } : {},
    output: { write: (text: string) => written.push(text), ...(output && { isTTY: true, columns, rows }) },
  };
  return { terminal: terminal as unknown as LocalTerminal, written, modes };
}

it.each([
  [true, true, 'yes'],
  [true, false, 'no'],
  [false, true, 'no'],
  [false, false, 'no'],
])('is a terminal when both ends are: input %s, output %s', (input, output, expected) => {
  expect(isTerminal(streams({ input, output }).terminal) ? 'yes' : 'no').toBe(expected);
});

it('measures the terminal that is written to', () => {
  expect(sizeOf(streams({ input: false }).terminal)).toEqual({ cols: 100, rows: 30 });
  expect(sizeOf(streams({ output: false }).terminal)).toBeUndefined();
});

it('takes a terminal that does not know its size for a small one', () => {
  expect(sizeOf(streams({ columns: 0, rows: 0 }).terminal)).toEqual({ cols: 1, rows: 1 });
});

it('gives every key to the session until it is disposed', () => {
  const { terminal, modes } = streams();
  {
    using _raw = rawMode(terminal);
    expect(modes).toEqual([true]);
  }
  expect(modes).toEqual([true, false]);
});

it('leaves input that is no terminal as it is', () => {
  const { terminal, modes } = streams({ input: false });
  {
    using _raw = rawMode(terminal);
  }
  expect(modes).toEqual([]);
});

const ASIDE = '\u001b[22;0t';
const BACK = '\u001b[23;0t';
const title = (text: string) => `\u001b]2;${text}\u0007`;

it('puts the title aside once, whatever it says after that, and gives it back once', () => {
  const { terminal, written } = streams();
  {
    using status = new TitleStatus(terminal);
    status.show('reconnecting');
    status.show('still reconnecting');
    status.clear();
    status.clear();
  }
  expect(written).toEqual([ASIDE, title('reconnecting'), title('still reconnecting'), BACK]);
});

it('puts the title aside again after it gave it back', () => {
  const { terminal, written } = streams();
  const status = new TitleStatus(terminal);
  status.show('a');
  status.clear();
  status.show('b');
  expect(written).toEqual([ASIDE, title('a'), BACK, ASIDE, title('b')]);
});

it('gives the title back when it is disposed', () => {
  const { terminal, written } = streams();
  {
    using status = new TitleStatus(terminal);
    status.show('a');
  }
  expect(written.at(-1)).toBe(BACK);
});

it('writes nothing when it has nothing to say', () => {
  const { terminal, written } = streams();
  new TitleStatus(terminal).clear();
  expect(written).toEqual([]);
});

it('writes no control sequences to what is no terminal', () => {
  const { terminal, written } = streams({ output: false });
  {
    using status = new TitleStatus(terminal);
    status.show('reconnecting');
  }
  expect(written).toEqual([]);
});
