export {
  AgentConfigView,
  AgentPage,
  AgentView,
  HealthSample,
  IssuedAgentKey,
  IssuedJoinToken,
  JoinTokenView,
} from './agents.ts';
export {
  AuditAnchor,
  AuditAnchorText,
  AuditCheckpoint,
  AuditExportHeader,
  AuditExportLine,
  AuditFacts,
  AuditProblem,
  AuditRecord,
  AuditReport,
  AuditResult,
} from './audit.ts';
export { BACKUP_VERSION, BackupHeader, BackupRow, BackupTrailer, BackupValue } from './backup.ts';
export {
  BULK_LIMITS,
  BULK_RUN_STATES,
  BULK_TARGET_STATES,
  BulkRunView,
  BulkTargetState,
  BulkTargetView,
} from './bulk.ts';
export { ErrorView, Time, pageOf } from './common.ts';
export { GroupView } from './groups.ts';
export { EVENT_TOPICS, EVENT_TYPES, EventTopic, EventType, EventView } from './events.ts';
export {
  IssuedSession,
  IssuedToken,
  LoginRequest,
  RoleBinding,
  RoleView,
  SessionView,
  TokenView,
  UserView,
  WhoAmI,
} from './people.ts';
export { AGENT_VERBS, BUILT_IN_ROLES, CONTROL_PLANE_VERBS, OWN_VERBS, PlainName, VERBS, Verb } from './rights.ts';
export { COMMAND_STATES, CommandView, TaskView } from './tasks.ts';
export { IssuedTunnel, IssuedTunnelToken, LEASE_STATES, LeaseState, TunnelRequest, TunnelView } from './tunnels.ts';
