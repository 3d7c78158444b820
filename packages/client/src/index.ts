export type { HealthFilter } from './agent-health.ts';
export type { AuditApi, AuditFilter, AuditQuery } from './audit.ts';
export type { BulkChoice, BulkRunsApi, BulkWork, NewBulkRun } from './bulk-runs.ts';
export { DrawbridgeClient } from './client.ts';
export type { AgentChange, AgentConfigChange, AgentFilter, NewTask, TaskFilter } from './client.ts';
export { ApiError, UnreachableError, isAgentOffline, isPassing } from './errors.ts';
export type { FetchLike, ResponseLike } from './fetch.ts';
export type { EventFilter, FollowedEvent } from './follow-events.ts';
export type { GroupsApi, NewGroup } from './groups.ts';
export type { HttpOptions } from './http.ts';
export type { TunnelFilter } from './list-tunnels.ts';
export { Identity, awaitLogin, requestLogin, signInWithPassword, signOut, whoAmI } from './login.ts';
export type { PasswordSignIn } from './login.ts';
export type { RetryOptions } from './retrying.ts';
export type { NewRole, RoleChange, RolesApi } from './roles.ts';
export type { AgentSessionsApi } from './session/agent-sessions.ts';
export { SessionTerminal } from './session/session-terminal.ts';
export type { AttachOptions, AttachStatus, SessionBytes, SessionEnd } from './session/session-terminal.ts';
export type { SessionsApi } from './sessions.ts';
export type { NewToken, TokensApi } from './tokens.ts';
export { channelStreams } from './tunnel/channel-streams.ts';
export type { ChannelStreams } from './tunnel/channel-streams.ts';
export { webSocketDial } from './tunnel/web-socket-dial.ts';
export type { WebSocketDialOptions } from './tunnel/web-socket-dial.ts';
export type { OpenTunnelOptions } from './tunnel/open-tunnel.ts';
export { OperatorTunnel } from './tunnel/operator-tunnel.ts';
export type { DialTunnel, OperatorTunnelOptions, TunnelApi, TunnelStatus } from './tunnel/operator-tunnel.ts';
export type { NewUser, UserChange, UsersApi } from './users.ts';
// What the methods answer. A schema ignores fields it does not know, so that an older client gets on with a newer control plane.
export {
  AgentConfigView,
  AgentView,
  AuditRecord,
  AuditReport,
  BulkRunView,
  BulkTargetView,
  CommandView,
  EventView,
  GroupView,
  HealthSample,
  IssuedJoinToken,
  IssuedToken,
  IssuedTunnel,
  IssuedTunnelToken,
  JoinTokenView,
  RoleBinding,
  RoleView,
  SessionView,
  TaskView,
  TokenView,
  TunnelView,
  UserView,
  WhoAmI,
} from '@drawbridge/protocol/api';
export type { TunnelRequest } from '@drawbridge/protocol/api';
// What a tunnel and its channels say.
export { ControlError, SessionInfo } from '@drawbridge/protocol';
export type { Channel, ChannelItem, MessageSocket, TunnelEnd, TunnelStats } from '@drawbridge/link';
