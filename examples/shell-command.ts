// Runs a line of shell on an agent, in a session that outlives every lost connection: node examples/shell-command.ts build-1 'uname -a'
// The control plane and an API token come from DRAWBRIDGE_URL and DRAWBRIDGE_TOKEN.
import { ApiError, ControlError, DrawbridgeClient } from '@drawbridge/client';

const [agent = 'build-1', command = 'uname -a'] = process.argv.slice(2);
const { agentSessions } = new DrawbridgeClient({
  url: process.env['DRAWBRIDGE_URL'] ?? 'http://127.0.0.1:7400',
  token: process.env['DRAWBRIDGE_TOKEN'],
  fetch,
});

try {
  const { session_id: id } = await agentSessions.create(agent, { mode: 'pipe', command });
  await using session = await agentSessions.attach(agent, id, {
    onStatus: ({ is }) => process.stderr.write(`${is}\n`),
  });
  await session.endInput();
  for await (const { bytes, stderr, lostBytes } of session) {
    if (lostBytes > 0) process.stderr.write(`${lostBytes} bytes are gone\n`);
    (stderr ? process.stderr : process.stdout).write(bytes);
  }
  process.exitCode = session.end?.exitCode ?? 1;
} catch (error) {
  if (!(error instanceof ApiError || error instanceof ControlError)) throw error;
  process.stderr.write(`${error.code}: ${error.message}\n`);
  process.exitCode = 1;
}
