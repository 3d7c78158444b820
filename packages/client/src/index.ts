export { DrawbridgeClient } from './client.ts';
export type { NewTask } from './client.ts';
export type { CommandView } from './command-view.ts';
export { ApiError, UnreachableError, isPassing } from './errors.ts';
export type { FetchLike, ResponseLike } from './fetch.ts';
export type { HttpOptions } from './http.ts';
export type { RetryOptions } from './retrying.ts';
export type { AgentView, IssuedJoinToken, JoinTokenView, TaskView } from './views.ts';
