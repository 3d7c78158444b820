export { type ApiAnswer } from './api-request.ts';
export {
  type ClientNames,
  makeClientCertificate,
  makePki,
  type Pki,
  type PkiOptions,
  pinOf,
  type TestCertificate,
} from './certificates.ts';
export { type Direction } from './chaos-connection.ts';
export { ChaosProxy, type ChaosProxyOptions } from './chaos-proxy.ts';
export { ConnectProxy, type ConnectProxyOptions, type ProxyCredentials } from './connect-proxy.ts';
export { type ConnectProxyProcessOptions, startConnectProxyProcess } from './connect-proxy-process.ts';
export { Daemon, type LogLine } from './daemon.ts';
export { drawbridge, type DrawbridgeOptions } from './drawbridge-command.ts';
export { eventually, type EventuallyOptions } from './eventually.ts';
export { FakeClock, settle } from './fake-clock.ts';
export { findProgram } from './find-program.ts';
export { type Listener, listenersOf } from './listeners.ts';
export { listeningPort } from './listening-port.ts';
export { canMakeNamespaces, type NamespaceResult, Namespaces, type NamespacesOptions } from './namespaces.ts';
export { childrenOf, isAlive, type Memory, memoryOf, processesUsing } from './process-table.ts';
export { postgresUrl } from './postgres-there.ts';
export { type Requirement, requires } from './requirement.ts';
export { type CliResult, runCli, type RunCliOptions, streamCli } from './run-cli.ts';
export {
  type ApiCaller,
  endOfTask,
  outputOf,
  runTask,
  startTask,
  type TaskAnswer,
  type TaskRequest,
} from './run-task.ts';
export { scaled } from './scale.ts';
export { SeededRandom, withSeed } from './seed.ts';
export { type SocketPair, socketPair, type SocketPairOptions } from './socket-pair.ts';
export { TempDir } from './temp-dir.ts';
export { TestAgent, type TestAgentOptions } from './test-agent.ts';
export { TestControlPlane, type TestControlPlaneOptions } from './test-control-plane.ts';
export { TestPostgres } from './test-postgres.ts';
export { type Command, type ExitStatus, TestProcess } from './test-process.ts';
export { type TunnelPair, tunnelPair, type TunnelPairOptions } from './tunnel-pair.ts';
export { killAll } from './kill.ts';
