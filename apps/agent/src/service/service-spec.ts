/** Whose service manager runs the agent: the machine's, or that of the user who installs it. */
export type ServiceScope = 'system' | 'user';

/** The name of the service, whoever manages it. */
export const SERVICE_NAME = 'drawbridge-agent';

/** Everything a unit or a property list is made of. All paths are absolute. */
export interface ServiceSpec {
  readonly scope: ServiceScope;
  /** Whom a system service runs as; undefined: root. */
  readonly serviceUser: string | undefined;
  /** The Node that runs us now, and the launcher of our bundle. */
  readonly node: string;
  readonly program: string;
  readonly config: string | undefined;
  readonly data: string;
  /** Holds the variables that the configuration names. */
  readonly envFile: string | undefined;
  /** Tasks may become more than the agent is, with sudo for one: hardening that would forbid that is left out. */
  readonly allowSudo: boolean;
  /** After SIGTERM the agent drains; it is killed when that takes longer than this. */
  readonly stopSeconds: number;
}

/** The arguments of `node` that start the agent. */
export function agentArguments({ program, config, data }: ServiceSpec): string[] {
  return [
    '--disable-warning=ExperimentalWarning',
    program,
    'agent',
    ...(config === undefined ? [] : ['--config', config]),
    '--data',
    data,
  ];
}
