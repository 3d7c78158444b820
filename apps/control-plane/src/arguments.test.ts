import { expect, it } from 'vitest';
import { parseServerArguments } from './arguments.ts';

it('runs without any', () => {
  expect(parseServerArguments([])).toEqual({ config: undefined, data: undefined, action: 'run', overrides: {} });
});

it('takes what is to be listened on over the file', () => {
  const args = [
    '--config',
    'f.yaml',
    '--data',
    'd',
    '--host',
    '::1',
    '--port',
    '0',
    '--tls-cert',
    'c',
    '--tls-key',
    'k',
  ];
  expect(parseServerArguments(args)).toEqual({
    config: 'f.yaml',
    data: 'd',
    action: 'run',
    overrides: { listen: { host: '::1', port: 0, tls: { cert: 'c', key: 'k' } } },
  });
});

it.each([
  [['--help', '--check-config'], 'help'],
  [['-h'], 'help'],
  [['--check-config'], 'check-config'],
  [['--print-config'], 'print-config'],
])('does what %j asks for', (args, action) => {
  expect(parseServerArguments(args)).toMatchObject({ action });
});

it.each([
  [['--nonsense']],
  [['stray']],
  [['--port', 'x']],
  [['--port', '65536']],
  [['--port', '1.5']],
  [['--tls-cert', 'c']],
])('refuses %j', (args) => {
  expect(() => parseServerArguments(args)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
});
