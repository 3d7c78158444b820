/** The variable that marks every process of a task, and all they start, wherever they go. */
const TASK_ID_VARIABLE = 'DRAWBRIDGE_TASK_ID';
/** The same of a session. */
export const SESSION_ID_VARIABLE = 'DRAWBRIDGE_SESSION_ID';

const MARK = new RegExp(`^(?:${TASK_ID_VARIABLE}|${SESSION_ID_VARIABLE})=(?<id>.*)$`);

/** The task, or the session, that the variables of a process mark it with: `NAME=value` each. */
export function markIn(variables: readonly string[]): string | undefined {
  return variables.map((variable) => MARK.exec(variable)?.groups?.['id']).find((id) => id !== undefined);
}

/** What a task's process may know of the agent's environment. Everything else, secrets above all, stays with the agent. */
const INHERITED = ['PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'LANG', 'TZ', 'TMPDIR', 'TERM'] as const;
const INHERITED_PREFIX = 'LC_';

/** The agent's own variables are never handed on, whatever a provider's settings list. */
const OWN_PREFIX = 'DRAWBRIDGE_';

/**
 * The environment of a task's process: the few variables above and those `names` lists, as the agent has them, and the
 * mark of the task.
 */
export function taskEnvironment(
  agentEnv: Readonly<Record<string, string | undefined>>,
  names: readonly string[],
  taskId: string,
): Record<string, string> {
  return { ...inheritedEnvironment(agentEnv, names), [TASK_ID_VARIABLE]: taskId };
}

/** What every process that is started for somebody may know of the agent's environment. */
export function inheritedEnvironment(
  agentEnv: Readonly<Record<string, string | undefined>>,
  names: readonly string[] = [],
): Record<string, string> {
  const listed = new Set<string>([...INHERITED, ...names]);
  const inherited = Object.entries(agentEnv).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined &&
      !entry[0].startsWith(OWN_PREFIX) &&
      (listed.has(entry[0]) || entry[0].startsWith(INHERITED_PREFIX)),
  );
  return Object.fromEntries(inherited);
}
