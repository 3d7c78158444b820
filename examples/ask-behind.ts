// Fetches a page from a web server that only a machine behind an agent can reach: node examples/ask-behind.ts build-1 127.0.0.1 8080
// The control plane and an API token come from DRAWBRIDGE_URL and DRAWBRIDGE_TOKEN.
import { pipeline } from 'node:stream/promises';
import { ApiError, ControlError, DrawbridgeClient, channelStreams } from '@drawbridge/client';
import { channelDuplex } from '@drawbridge/client/node';

const [agent = 'build-1', host = '127.0.0.1', port = '80'] = process.argv.slice(2);
const target = { host, port: Number(port) };
const question = new TextEncoder().encode(`GET / HTTP/1.0\r\nHost: ${host}\r\n\r\n`);
const client = new DrawbridgeClient({
  url: process.env['DRAWBRIDGE_URL'] ?? 'http://127.0.0.1:7400',
  token: process.env['DRAWBRIDGE_TOKEN'],
  fetch,
});

try {
  await using tunnel = await client.openTunnel(
    { agent_id: agent, protocol: 'tcp', target },
    { onStatus: ({ is }) => process.stderr.write(`tunnel ${is}\n`) },
  );

  // As Node's streams: only how much comes.
  const duplex = channelDuplex(await tunnel.channel(target));
  duplex.end(question);
  let bytes = 0;
  for await (const chunk of duplex) bytes += (chunk as Buffer).byteLength;
  process.stderr.write(`${bytes} bytes\n`);

  // As Web Streams, which browsers have too. Closing the writer is the half-close.
  const { readable, writable } = channelStreams(await tunnel.channel(target));
  const writer = writable.getWriter();
  await writer.write(question);
  await writer.close();
  await pipeline(readable, process.stdout, { end: false });
} catch (error) {
  if (!(error instanceof ApiError || error instanceof ControlError)) throw error;
  process.stderr.write(`${error.code}: ${error.message}\n`);
  process.exitCode = 1;
}
