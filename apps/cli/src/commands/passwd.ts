import type { Command } from 'commander';
import { connect } from '../access.ts';
import type { AccessOptions } from '../access.ts';
import { readSecret, typeSecrets } from '../ask.ts';
import { describeCommand } from '../describe-command.ts';
import { NotSignedInError, UsageError } from '../exit-codes.ts';
import { line, print } from '../output.ts';
import type { JsonOption } from '../output.ts';

/** `passwd`: one's own password. */
export function definePasswd(command: Command): void {
  describeCommand(command, {
    does: 'Changes your password and signs you out everywhere else. A pipe gives the old one and the new one, a line each.',
    examples: ['passwd', 'cat old new | drawbridge passwd'],
    json: 'document',
  }).action(async (options: JsonOption & AccessOptions) => {
    const client = await connect(options);
    const { kind, name, has_password: hasPassword } = await client.whoAmI();
    if (kind === 'token') throw new NotSignedInError('an API token changes no password: sign in with drawbridge login');
    await client.changePassword(
      process.stdin.isTTY ? await typePasswords(hasPassword) : await readPasswords(hasPassword),
    );
    print({ user: name, changed: true }, options, () =>
      line(`the password of ${name} is changed, and all other sessions are ended`),
    );
  });
}

interface PasswordChange {
  readonly current?: string;
  readonly password: string;
}

async function typePasswords(hasPassword: boolean): Promise<PasswordChange> {
  const questions = ['New password: ', 'The same again: '];
  const typed = await typeSecrets(hasPassword ? ['Old password: ', ...questions] : questions);
  const [password = '', again = ''] = typed.slice(-2);
  if (password !== again) throw new UsageError('these were two different passwords: nothing is changed');
  return hasPassword ? { current: typed[0] ?? '', password } : { password };
}

/** Whoever has no password yet gives the new one alone. */
async function readPasswords(hasPassword: boolean): Promise<PasswordChange> {
  const lines = (await readSecret()).split(/\r?\n/);
  const [first = '', second = ''] = lines;
  if (lines.length === 2 && hasPassword) return { current: first, password: second };
  if (lines.length === 1 && !hasPassword) return { password: first };
  throw new UsageError(
    hasPassword
      ? 'standard input is to be two lines: the old password and the new one'
      : 'standard input is to be one line: the new password',
  );
}
