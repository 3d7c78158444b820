/** A process that cannot be mistaken for a later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it started, on the system's own scale: later is larger, equal is the same process. */
  readonly startedAt: number;
}

/** A process as the system lists it. */
export interface ProcessInfo extends ProcessIdentity {
  readonly parentPid: number;
  readonly session: number;
}

/** What the system says about its processes. */
export interface ProcessTable {
  /** Changes when the machine starts anew: numbers and times of another boot mean nothing. */
  bootId(): Promise<string>;
  /** Every process that is alive; the dead that nobody has collected are left out. */
  list(): Promise<readonly ProcessInfo[]>;
  /** The process that has this number now, dead or alive. */
  identify(pid: number): Promise<ProcessIdentity | undefined>;
  /** The task, or the session, a process is marked with; undefined when it has no mark or hides it. */
  taskIdOf(pid: number): Promise<string | undefined>;
}
