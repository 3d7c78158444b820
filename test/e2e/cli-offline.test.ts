import { afterAll, beforeAll, expect, it } from 'vitest';
import { leavesOf } from '../../apps/cli/src/program-fixture.ts';
import { buildProgram } from '../../apps/cli/src/program.ts';
import { CliUser } from './cli-user.ts';

/** What is not tried here with a control plane that is away, and why. */
const TRIED_ELSEWHERE: Readonly<Record<string, string>> = {
  run: 'it is patient: see control-plane-killed.test.ts',
  'groups run': 'it is patient too',
  'proxy-connect': 'it waits a moment: see proxy-connect.test.ts',
  shell: 'it waits a moment: see shell.test.ts',
  login: 'it takes an address: see cli-login.test.ts',
};

const UNKNOWN_ID = '01a1fe6b-4ad7-73ce-bd40-b474a2723683';
const NOBODY = { DRAWBRIDGE_URL: 'http://127.0.0.1:1', DRAWBRIDGE_TOKEN: 'dbt_x' };
const CALLS = [
  [['agents', 'ls']],
  [['agents', 'show', 'a']],
  [['agents', 'rename', 'a', 'b']],
  [['agents', 'label', 'a', 'k=v']],
  [['agents', 'revoke', 'a']],
  [['tasks', 'ls']],
  [['tasks', 'show', UNKNOWN_ID]],
  [['tasks', 'logs', UNKNOWN_ID]],
  [['tasks', 'result', UNKNOWN_ID]],
  [['tasks', 'cancel', UNKNOWN_ID]],
  [['join-token', 'create']],
  [['join-token', 'ls']],
  [['join-token', 'rm', UNKNOWN_ID]],
  [['agents', 'config', 'a']],
  [['agents', 'health', 'a']],
  [['groups', 'ls']],
  [['groups', 'create', 'g', '-l', 'k=v']],
  [['groups', 'show', 'g']],
  [['groups', 'rm', 'g']],
  [['groups', 'agents', 'g']],
  [['users', 'ls']],
  [['users', 'show', 'u']],
  [['users', 'create', 'u']],
  [['users', 'set', 'u', '--enable']],
  [['users', 'rm', 'u']],
  [['users', 'link', 'u']],
  [['users', 'sign-out', 'u']],
  [['roles', 'ls']],
  [['roles', 'show', 'r']],
  [['roles', 'create', 'r', '--verb', 'task.run']],
  [['roles', 'set', 'r', '--verb', 'task.run']],
  [['roles', 'rm', 'r']],
  [['tokens', 'ls']],
  [['tokens', 'create', 't', '--all-verbs', '--expires', '1d']],
  [['tokens', 'rm', UNKNOWN_ID]],
  [['audit', 'ls']],
  [['audit', 'verify']],
  [['audit', 'export']],
  [['server', 'backup', '-']],
  [['tunnels', 'ls']],
  [['tunnels', 'show', UNKNOWN_ID]],
  [['tunnels', 'close', UNKNOWN_ID]],
  [['forward', 'a', '0:1']],
  [['ssh', 'a']],
  [['sessions', 'ls', 'a']],
  [['sessions', 'show', 'a', UNKNOWN_ID]],
  [['sessions', 'kill', 'a', UNKNOWN_ID]],
  [['sign-in-link']],
  [['whoami']],
  [['passwd']],
  [['logout', '--everywhere']],
];

let user: CliUser;

beforeAll(async () => {
  user = await CliUser.make();
});
afterAll(() => user[Symbol.asyncDispose]());

it.each(CALLS)('%j ends with 6 and one line that names the control plane that is away', async (args) => {
  const { code, stdout, stderr } = await user.run(args, { env: NOBODY });
  expect({ code, stdout, stderr }).toEqual({
    code: 6,
    stdout: '',
    stderr: 'error: cannot reach the control plane at http://127.0.0.1:1: nothing listens there\n',
  });
});

it('every command that asks a control plane is tried', async () => {
  const asking = leavesOf(await buildProgram([], true)).filter(({ command }) =>
    command.options.some(({ long }) => long === '--context'),
  );
  const tried = CALLS.map(([words = []]) => words.join(' '));
  const names = asking.map(({ words }) => words.join(' ')).filter((name) => !Object.hasOwn(TRIED_ELSEWHERE, name));
  expect(names.filter((name) => !tried.some((call) => call === name || call.startsWith(`${name} `)))).toEqual([]);
});
