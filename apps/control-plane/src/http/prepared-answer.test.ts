import { expect, it } from 'vitest';
import { answerText, prepared } from './prepared-answer.ts';

/** An answer that counts how often it is written down. */
function counted() {
  const answer = {
    written: 0,
    toJSON() {
      answer.written += 1;
      return { items: ['a'] };
    },
  };
  return answer;
}

it('writes a prepared answer down once, however often it is given', () => {
  const answer = prepared(counted());
  expect(answer.written).toBe(1);
  expect([answerText(answer), answerText(answer)]).toEqual(['{"items":["a"]}', '{"items":["a"]}']);
  expect(answer.written).toBe(1);
});

it('hands back the very answer it was given, to go the way of any other', () => {
  const answer = { items: ['a'] };
  expect(prepared(answer)).toBe(answer);
});

it('writes any other answer down as it stands when it is given', () => {
  const answer = { items: ['a'] };
  expect(answerText(answer)).toBe('{"items":["a"]}');
  answer.items.push('b');
  expect(answerText(answer)).toBe('{"items":["a","b"]}');
});

it('does not take an answer for a prepared one that looks like it', () => {
  const answer = counted();
  prepared(counted());
  expect(answerText(answer)).toBe('{"items":["a"]}');
  expect(answer.written).toBe(1);
});

it.each([
  ['text', 'a "b"', '"a \\"b\\""'],
  ['a number', 7, '7'],
  ['nothing', null, 'null'],
])('writes down %s, which is no object', (_what, answer, text) => {
  expect(answerText(answer)).toBe(text);
});
