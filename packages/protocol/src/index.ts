export { AgentName, LabelText, Labels, ProviderName, PublicKeyText, Timestamp } from './ids.ts';
export { LIMITS } from './limits.ts';
export { LINK_SUBPROTOCOL, PROTOCOL_VERSION, TUNNEL_SUBPROTOCOL } from './version.ts';
export { ControlError, ERROR_CODES, ProtocolError, unreachable } from './errors.ts';
export type { ErrorCode, ProtocolErrorCode } from './errors.ts';
export { CloseReason, WsClose, isAuthRejection } from './close-codes.ts';
export { decodeMessage, encodeMessage, envelope, firstIssue, utf8Bytes } from './envelope.ts';
export type { Decoded, Envelope } from './envelope.ts';
export { enrolStatement, helloStatement, identityStatement } from './statements.ts';
export { FrameFlag, FrameType, decodeFrame, encodeFrame } from './frame.ts';
export type { Frame } from './frame.ts';
export {
  ChannelAckPayload,
  ChannelOpenPayload,
  ClosePayload,
  ConnectAckPayload,
  ConnectPayload,
  ControlPayload,
  ErrorPayload,
  decodeJson,
  decodeU32,
  encodeJson,
  encodeU32,
} from './frame-payloads.ts';
export { AgentMessage, AuthPayload, EventPayload, HeartbeatPayload, ProviderHealth } from './messages/agent.ts';
export { AuthResponsePayload, CommandPayload, HelloPayload, LinkConfig, ServerMessage } from './messages/server.ts';
export { DisconnectMessage, ErrorMessage, Outcome } from './messages/shared.ts';
export { OPERATIONS, OPERATIONS_WITH_A_ROUTE, effectOf, isOperationName } from './operations/index.ts';
export type { OperationName } from './operations/index.ts';
export type { Effect, Operation } from './operations/operation.ts';
export { AgentInfo } from './operations/agent.ts';
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
