import { z } from 'zod';
import { Time } from './common.ts';
import { PlainName, Verb } from './rights.ts';

/** A role given to somebody: `selector` limits it to some agents; empty: all of them. */
export const RoleBinding = z.object({ role: PlainName, selector: z.string() });
export type RoleBinding = z.infer<typeof RoleBinding>;

export const UserView = z.object({
  id: z.string(),
  name: z.string(),
  roles: z.array(RoleBinding),
  disabled: z.boolean(),
  has_password: z.boolean(),
  created_at: Time,
  last_sign_in_at: Time.nullable(),
});
export type UserView = z.infer<typeof UserView>;

export const RoleView = z.object({
  name: z.string(),
  description: z.string(),
  verbs: z.array(Verb),
  built_in: z.boolean(),
});
export type RoleView = z.infer<typeof RoleView>;

/** An API token without its secret. It may do what its owner may, within `verbs` and `selector`. */
export const TokenView = z.object({
  id: z.string(),
  name: z.string(),
  user_id: z.string(),
  verbs: z.array(Verb).nullable(),
  selector: z.string(),
  created_at: Time,
  expires_at: Time.nullable(),
  last_used_at: Time.nullable(),
  revoked: z.boolean(),
});
export type TokenView = z.infer<typeof TokenView>;

/** An API token as it is shown once. */
export const IssuedToken = TokenView.extend({ token: z.string() });
export type IssuedToken = z.infer<typeof IssuedToken>;

/** A session of a browser or a command line. */
export const SessionView = z.object({
  id: z.string(),
  label: z.string(),
  method: z.enum(['link', 'password', 'browser']),
  address: z.string().nullable(),
  created_at: Time,
  last_used_at: Time,
  expires_at: Time,
  current: z.boolean(),
});
export type SessionView = z.infer<typeof SessionView>;

/** A session's token as it is shown once, to a program that signs in. */
export const IssuedSession = z.object({ token: z.string(), expires_at: Time });
export type IssuedSession = z.infer<typeof IssuedSession>;

/** Who asks, and what they may do. */
export const WhoAmI = z.object({
  kind: z.enum(['user', 'token']),
  id: z.string(),
  name: z.string(),
  user_id: z.string(),
  has_password: z.boolean(),
  roles: z.array(RoleBinding),
  rights: z.array(z.object({ selector: z.string(), verbs: z.array(Verb) })),
});
export type WhoAmI = z.infer<typeof WhoAmI>;

/** A command line that asks to be signed in by somebody with a browser. `poll_secret` is for it alone. */
export const LoginRequest = z.object({
  id: z.string(),
  user_code: z.string(),
  verification_url: z.string(),
  poll_secret: z.string(),
  interval_seconds: z.number(),
  expires_at: Time,
});
export type LoginRequest = z.infer<typeof LoginRequest>;
