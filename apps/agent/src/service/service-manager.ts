import { ControlError } from '@drawbridge/protocol';
import { launchd } from './launchd.ts';
import type { ServiceHost } from './service-host.ts';
import type { ServiceScope, ServiceSpec } from './service-spec.ts';
import type { ServiceStep } from './service-steps.ts';
import { systemd } from './systemd.ts';

/** What a service manager says of a service. */
export interface ServiceState {
  readonly isActive: boolean;
  readonly isEnabled: boolean;
  /** In the manager's own words. */
  readonly state: string;
  readonly pid: number | undefined;
}

/** What runs services on a kind of system. Whatever it does is a list of steps, so that it can be shown first. */
export interface ServiceManager {
  /** The file that describes the service. */
  readonly path: string;
  /** How the manager calls the service. */
  readonly unit: string;
  /** The file's text. Throws when the manager cannot do what the spec asks for. */
  describe(spec: ServiceSpec): string;
  /** Makes it run now and at every start of the machine; `isNew` when its file or its program is. */
  start(isNew: boolean): readonly ServiceStep[];
  /** Before the file is removed, and after. It takes no longer than `stopSeconds`. */
  stop(): readonly ServiceStep[];
  forget(): readonly ServiceStep[];
  state(): Promise<ServiceState>;
  /** Where to read what it logs, and what else there is to know. */
  notes(spec: ServiceSpec): readonly string[];
}

/** The service manager of this kind of system. Throws ControlError `unsupported` where we know none. */
export function serviceManagerOf(host: ServiceHost, scope: ServiceScope): ServiceManager {
  if (host.platform === 'linux') return systemd(host, scope);
  if (host.platform === 'darwin') return launchd(host, scope);
  throw new ControlError('unsupported', `services are not supported on ${host.platform}: run "drawbridge agent" there`);
}
