import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { sshArguments } from './run-ssh.ts';

const agent = { id: 'a91fbb8f', name: 'build-1' };
const NOTHING = { user: undefined, words: [], context: undefined };

it('gives ssh the agent by its name, the host key by its id, and all other words as they are', () => {
  const words = ['-p', '2222', 'echo', 'a b'];
  expect(sshArguments({ agent, user: 'ann', words, context: undefined }, ['/n', '/d'])).toEqual([
    '-o',
    'ProxyCommand=/n /d proxy-connect a91fbb8f 127.0.0.1 %p',
    '-o',
    'HostKeyAlias=drawbridge-a91fbb8f',
    'ann@build-1',
    ...words,
  ]);
});

it('passes the context on, and nothing secret', () => {
  const [, proxy] = sshArguments({ ...NOTHING, agent, context: 'lab' }, ['/n']);
  expect(proxy).toBe('ProxyCommand=/n proxy-connect --context lab a91fbb8f 127.0.0.1 %p');
});

it('names this program so that a shell finds each word again', () => {
  const program = ["/it's a $HOME/`no`/node", '/a "b"\\c', '/100%/x'];
  const [, proxy = ''] = sshArguments({ ...NOTHING, agent, context: 'a;b' }, program);
  // What ssh does before it gives it to a shell.
  const command = proxy.replace(/^ProxyCommand=/, '').replace(/%(.)/g, (_all, sign) => (sign === 'p' ? '22' : '%'));
  const said = execFileSync('/bin/sh', ['-c', `printf '%s\\n' ${command}`], { encoding: 'utf8' });
  const words = ['proxy-connect', '--context', 'a;b', 'a91fbb8f', '127.0.0.1', '22'];
  expect(said.trimEnd().split('\n')).toEqual([...program, ...words]);
});
