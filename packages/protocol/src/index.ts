export { AgentName, LabelText, Labels, MachineId, ProviderName, PublicKeyText, Timestamp } from './ids.ts';
export { EVERY_AGENT, formatSelector, parseSelector, selects } from './selector.ts';
export type { LabelCondition, Selector } from './selector.ts';
export { LIMITS } from './limits.ts';
export { LINK_SUBPROTOCOL, PROTOCOL_VERSION, TUNNEL_SUBPROTOCOL } from './version.ts';
export { ControlError, ERROR_CODES, ProtocolError, unreachable } from './errors.ts';
export type { ErrorCode, ProtocolErrorCode } from './errors.ts';
export { CloseReason, WsClose, isAuthRejection } from './close-codes.ts';
export { decodeMessage, encodeMessage, envelope, firstIssue, utf8Bytes } from './envelope.ts';
export type { Decoded, Envelope } from './envelope.ts';
export { auditCheckpointStatement, enrolStatement, helloStatement, identityStatement } from './statements.ts';
export { AUDIT_SWEEP_VERB, AuditChain } from './audit/chain.ts';
export type { AuditEnd } from './audit/chain.ts';
export { canonicalJson } from './audit/canonical-json.ts';
export { GENESIS_HASH, auditRecordText } from './audit/record-text.ts';
export { FrameFlag, FrameType, decodeFrame, encodeFrame, encodeFrameHeader } from './frame.ts';
export type { Frame } from './frame.ts';
export {
  ChannelAckPayload,
  ChannelOpenPayload,
  ClosePayload,
  ConnectAckPayload,
  ConnectPayload,
  ControlPayload,
  ErrorPayload,
  ResumeAckPayload,
  ResumePayload,
  decodeJson,
  decodeU32,
  encodeJson,
  encodeU32,
} from './frame-payloads.ts';
export {
  LOOPBACK_HOST,
  TUNNEL_PROTOCOLS,
  TcpChannelMetadata,
  TunnelProtocol,
  TunnelTarget,
  limitGroupOf,
  targetOf,
} from './tunnel-protocols.ts';
export { AgentMessage, AuthPayload, EventPayload, HeartbeatPayload, ProviderHealth } from './messages/agent.ts';
export {
  AuthResponsePayload,
  CommandPayload,
  HeartbeatSeconds,
  HelloPayload,
  LinkConfig,
  LinkConfigUpdate,
  ServerMessage,
} from './messages/server.ts';
export { DisconnectMessage, ErrorMessage, Outcome } from './messages/shared.ts';
export { Traceparent, traceIdOf } from './traceparent.ts';
export { OPERATIONS, OPERATIONS_WITH_A_ROUTE, effectOf, isOperationName } from './operations/index.ts';
export type { OperationName } from './operations/index.ts';
export type { Effect, Operation } from './operations/operation.ts';
export { AgentInfo } from './operations/agent.ts';
export { TerminalFrame, TerminalMessage, TerminalRequest } from './terminal-frames.ts';
export {
  NewSession,
  SESSION_TAKEN_OVER,
  SessionChannelAck,
  SessionChannelMetadata,
  SessionControl,
  SessionGap,
  SessionInfo,
  SessionMode,
  SessionSignal,
  TerminalSize,
} from './operations/session.ts';
export type { SessionCommand } from './operations/session.ts';
export {
  Instructions,
  TASK_STATES,
  TaskChannelMetadata,
  TaskOutcome,
  TaskStartParams,
  TaskState,
  TaskStateEvent,
  TaskTimeoutSeconds,
} from './operations/task.ts';
