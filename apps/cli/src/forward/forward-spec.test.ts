import { describe, expect, it } from 'vitest';
import { UsageError } from '../exit-codes.ts';
import { addressText, parseForward, parsePort, targetText } from './forward-spec.ts';

describe('a forward', () => {
  it.each([
    ['8080', '127.0.0.1:8080', '127.0.0.1:8080'],
    ['8080:80', '127.0.0.1:8080', '127.0.0.1:80'],
    ['5432:db.internal:5433', '127.0.0.1:5432', 'db.internal:5433'],
    ['0:db:1', '127.0.0.1:0', 'db:1'],
    ['0.0.0.0:80:db:1', '0.0.0.0:80', 'db:1'],
    ['localhost:80:81', 'localhost:80', '127.0.0.1:81'],
    ['*:80:db:1', '*:80', 'db:1'],
    ['80:[::1]:81', '127.0.0.1:80', '[::1]:81'],
    ['[::1]:80:[fe80::1]:81', '[::1]:80', '[fe80::1]:81'],
    ['[::]:80:81', '[::]:80', '127.0.0.1:81'],
    ['80:unix:/run/a:b.sock', '127.0.0.1:80', 'unix:/run/a:b.sock'],
    ['[::1]:80:unix:/s', '[::1]:80', 'unix:/s'],
    ['*:80:unix:/s', '*:80', 'unix:/s'],
  ])('%s listens on %s and leads to %s', (text, local, target) => {
    const parsed = parseForward(text);
    expect([addressText(parsed.bind ?? '*', parsed.port), targetText(parsed.target)]).toEqual([local, target]);
  });

  it.each([
    '',
    'http',
    '80:',
    ':80',
    '0',
    '80:0',
    '80:db:0',
    '80:db:65536',
    '80::81',
    ':80:db:81',
    '1:2:3:4:5',
    '::1:80:db:81',
    '80:::1:81',
    '80:[::1:81',
    '80:[::1]x:81',
    '80:unix:relative',
    '80:unix:',
    `80:unix:/${'x'.repeat(104)}`,
    `80:${'h'.repeat(254)}:81`,
    'a:b:80:unix:/s',
    '-1:80',
    '8e1:80',
  ])('%j is none', (text) => {
    expect(() => parseForward(text)).toThrow(UsageError);
  });
});

it('a port is 1 to 65535', () => {
  expect([parsePort('1'), parsePort('65535')]).toEqual([1, 65_535]);
  for (const word of ['0', '65536', '', 'ssh', '1.5', '-1']) expect(() => parsePort(word)).toThrow(UsageError);
});
