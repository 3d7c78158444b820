import { ControlError, parseSelector } from '@drawbridge/protocol';
import { PlainName } from '@drawbridge/protocol/api';
import type { RoleBinding } from '@drawbridge/protocol/api';
import { UsageError } from './exit-codes.ts';

/** `operator:env=dev,site=lab` is a role on agents with these labels, `operator` on all of them. Throws UsageError for anything else. */
export function parseRole(text: string): RoleBinding {
  const index = text.indexOf(':');
  const [role, selector] = index === -1 ? [text, ''] : [text.slice(0, index), text.slice(index + 1)];
  const isCut = index !== -1 && selector.trim() === '';
  if (!PlainName.safeParse(role).success || isCut) {
    throw new UsageError(`--role ${text}: write a role, or role:selector, such as operator:env=dev,site=lab`);
  }
  try {
    parseSelector(selector);
  } catch (cause) {
    if (!(cause instanceof ControlError)) throw cause;
    throw new UsageError(`--role ${text}: ${cause.message}`, { cause });
  }
  return { role, selector };
}

/** Roles as `--role` takes them, so that what is shown can be typed. */
export function rolesText(roles: readonly RoleBinding[]): string {
  return roles.map(({ role, selector }) => (selector === '' ? role : `${role}:${selector}`)).join(' ');
}
