import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { Escapes } from './escapes.ts';

/** Types the pieces one after the other, up to the first command: what goes on, and the command. */
function type(...pieces: readonly (string | Uint8Array)[]): [text: string, command: string | undefined] {
  const escapes = new Escapes();
  let text = '';
  for (const piece of pieces) {
    const { bytes, command } = escapes.take(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece);
    text += Buffer.from(bytes).toString('latin1');
    if (command !== undefined) return [text, command];
  }
  return [text, undefined];
}

it.each<[string, string, string | undefined]>([
  ['~.', '', 'leave'],
  ['~?', '', 'help'],
  ['ls\r~.', 'ls\r', 'leave'],
  ['ls\n~.', 'ls\n', 'leave'],
  ['\r\r~?', '\r\r', 'help'],
  ['ls ~.', 'ls ~.', undefined],
  ['a~?', 'a~?', undefined],
  ['~~.', '~.', undefined],
  ['~~', '~', undefined],
  ['~~~.', '~~.', undefined],
  ['a\r~~\r~.', 'a\r~\r', 'leave'],
  ['~x', '~x', undefined],
  ['~x~.', '~x~.', undefined],
  ['~\r~.', '~\r', 'leave'],
  ['~/bin\r', '~/bin\r', undefined],
  ['a~\r', 'a~\r', undefined],
  ['~.rest', '', 'leave'],
  ['~', '', undefined],
])('makes of %j the text %j and the command %s', (typed, text, command) => {
  expect(type(typed)).toEqual([text, command]);
});

it('hears the same however the keys come', () => {
  // Few bytes, and those that mean something.
  const typed = fc.array(fc.constantFrom('~', '.', '?', '\r', '\n', 'x'), { maxLength: 12 });
  fc.assert(
    fc.property(typed, (keys) => {
      expect(type(...keys)).toEqual(type(keys.join('')));
    }),
  );
});

it('lets text without a tilde through unchanged, however it is cut', () => {
  const plain = fc.uint8Array().map((bytes) => bytes.filter((byte) => byte !== 0x7e));
  fc.assert(
    fc.property(fc.array(plain), (pieces) => {
      expect(type(...pieces)).toEqual([Buffer.concat(pieces).toString('latin1'), undefined]);
    }),
  );
});

it('goes on after help as at the beginning of a line', () => {
  const escapes = new Escapes();
  expect(escapes.take(Buffer.from('a\r~?')).command).toBe('help');
  expect(escapes.take(Buffer.from('~.'))).toEqual({ bytes: Uint8Array.of(), command: 'leave' });
});
