import type { Command } from 'commander';
import { addExamples } from './describe-command.ts';

/** Fills in a verb: its description, options and subcommands. */
export type DefineVerb = (command: Command) => void;

/** A word after `drawbridge`. */
export interface Verb {
  readonly name: string;
  /** What it is for, under a heading of the overview. */
  readonly goal: keyof typeof GOALS;
  /** A few words for the overview. */
  readonly summary: string;
  /** Reads the file that defines it: only the verb that was called is read, so that each starts at once. */
  readonly load: () => Promise<DefineVerb>;
}

/** The headings of the overview, in their order. */
export const GOALS = {
  start: 'Start:',
  signIn: 'Sign in:',
  machines: 'Machines:',
  tasks: 'Tasks:',
  people: 'People and rights:',
} as const;

/** Every verb, in the order of the overview. A new one is a file in `commands/` and a line here. */
export const VERBS: readonly Verb[] = [
  {
    name: 'up',
    goal: 'start',
    summary: 'a control plane and an agent on this machine',
    load: async () => (await import('./commands/up.ts')).defineUp,
  },
  {
    name: 'server',
    goal: 'start',
    summary: 'the control plane, its backup and restore',
    load: async () => (await import('./commands/server.ts')).defineServer,
  },
  {
    name: 'agent',
    goal: 'start',
    summary: 'the daemon on a machine, and its enrolment',
    load: program('agent', 'Runs the agent', ['enroll', 'service']),
  },
  {
    name: 'login',
    goal: 'signIn',
    summary: 'sign in to a control plane',
    load: async () => (await import('./commands/login.ts')).defineLogin,
  },
  {
    name: 'logout',
    goal: 'signIn',
    summary: 'sign out',
    load: async () => (await import('./commands/logout.ts')).defineLogout,
  },
  {
    name: 'whoami',
    goal: 'signIn',
    summary: 'show who you are, where, and your roles',
    load: async () => (await import('./commands/whoami.ts')).defineWhoami,
  },
  {
    name: 'passwd',
    goal: 'signIn',
    summary: 'change your password',
    load: async () => (await import('./commands/passwd.ts')).definePasswd,
  },
  {
    name: 'context',
    goal: 'signIn',
    summary: 'switch between control planes',
    load: async () => (await import('./commands/context.ts')).defineContext,
  },
  {
    name: 'sign-in-link',
    goal: 'signIn',
    summary: 'print a one-time link that signs a browser in',
    load: async () => (await import('./commands/sign-in-link.ts')).defineSignInLink,
  },
  {
    name: 'agents',
    goal: 'machines',
    summary: 'list, show, rename, label and revoke agents',
    load: async () => (await import('./commands/agents.ts')).defineAgents,
  },
  {
    name: 'groups',
    goal: 'machines',
    summary: 'name groups of agents, and run one thing on all of them',
    load: async () => (await import('./commands/groups.ts')).defineGroups,
  },
  {
    name: 'join-token',
    goal: 'machines',
    summary: 'make and revoke the tokens that machines enrol with',
    load: async () => (await import('./commands/join-token.ts')).defineJoinToken,
  },
  {
    name: 'shell',
    goal: 'machines',
    summary: 'open a terminal on an agent, one that survives',
    load: async () => (await import('./commands/shell.ts')).defineShell,
  },
  {
    name: 'sessions',
    goal: 'machines',
    summary: 'list, show and end what runs in terminals of an agent',
    load: async () => (await import('./commands/sessions.ts')).defineSessions,
  },
  {
    name: 'forward',
    goal: 'machines',
    summary: 'make ports behind an agent ports of this machine',
    load: async () => (await import('./commands/forward.ts')).defineForward,
  },
  {
    name: 'ssh',
    goal: 'machines',
    summary: "run ssh to an agent's machine",
    load: async () => (await import('./commands/ssh.ts')).defineSsh,
  },
  {
    name: 'proxy-connect',
    goal: 'machines',
    summary: 'connect standard input and output to a port',
    load: async () => (await import('./commands/proxy-connect.ts')).defineProxyConnect,
  },
  {
    name: 'tunnels',
    goal: 'machines',
    summary: 'list, show and close what is open through agents',
    load: async () => (await import('./commands/tunnels.ts')).defineTunnels,
  },
  {
    name: 'run',
    goal: 'tasks',
    summary: 'run a task on an agent and stream its output',
    load: async () => (await import('./commands/run.ts')).defineRun,
  },
  {
    name: 'tasks',
    goal: 'tasks',
    summary: 'list, show, read and cancel tasks',
    load: async () => (await import('./commands/tasks.ts')).defineTasks,
  },
  {
    name: 'users',
    goal: 'people',
    summary: 'let people in, give them roles, take access away',
    load: async () => (await import('./commands/users.ts')).defineUsers,
  },
  {
    name: 'roles',
    goal: 'people',
    summary: 'see and make roles: what people may do',
    load: async () => (await import('./commands/roles.ts')).defineRoles,
  },
  {
    name: 'tokens',
    goal: 'people',
    summary: 'make and revoke the API tokens of programs',
    load: async () => (await import('./commands/tokens.ts')).defineTokens,
  },
  {
    name: 'audit',
    goal: 'people',
    summary: 'see who did what, and check that record',
    load: async () => (await import('./commands/audit.ts')).defineAudit,
  },
  {
    name: 'completion',
    goal: 'start',
    summary: 'print a script that completes commands in your shell',
    load: async () => (await import('./commands/completion.ts')).defineCompletion,
  },
];

/** A program of its own, which the launcher starts: here it is only named, with its subcommands, so that they complete. */
function program(name: string, does: string, subcommands: readonly string[] = []): Verb['load'] {
  return () =>
    Promise.resolve((command) => {
      addExamples(command.description(`${does}: see "drawbridge ${name} --help".`), [`${name} --check-config`]);
      for (const subcommand of subcommands) command.command(subcommand);
    });
}
