import { expect, it } from 'vitest';
import { parseAgentArguments } from './arguments.ts';

it('runs without any', () => {
  expect(parseAgentArguments([])).toMatchObject({ action: 'run', labels: {} });
});

it('enrols with a URL and a token', () => {
  const args = [
    'enroll',
    'https://c',
    '--token',
    't',
    '--name',
    'n',
    '--label',
    'a=1',
    '--label',
    'b=x=y',
    '--ca',
    'f',
  ];
  expect(parseAgentArguments(args)).toMatchObject({
    action: 'enrol',
    url: 'https://c',
    token: 't',
    name: 'n',
    labels: { a: '1', b: 'x=y' },
    ca: 'f',
  });
});

it.each([
  [['--help'], 'help'],
  [['enroll', '--help'], 'help'],
  [['--check-config'], 'check-config'],
  [['--print-config'], 'print-config'],
])('does what %j asks for', (args, action) => {
  expect(parseAgentArguments(args)).toMatchObject({ action });
});

it.each([
  [['start']],
  [['enroll']],
  [['enroll', 'https://c']],
  [['enroll', 'https://c', 'more', '--token', 't']],
  [['--label', 'novalue']],
  [['--label', '=v']],
  [['--nonsense']],
  [['enroll', 'https://c', '--token', 't', '--client-cert', 'c.pem']],
  [['enroll', 'https://c', '--token', 't', '--client-key', 'k.pem']],
  [['--client-cert', 'c.pem', '--client-key', 'k.pem']],
])('refuses %j', (args) => {
  expect(() => parseAgentArguments(args)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
});
