// A terminal for each WebSocket, with nothing around it: node-pty and `ws`. Started by the bench `terminal`.
import { once } from 'node:events';
import pty from '@lydell/node-pty';
import { WebSocketServer } from 'ws';

const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
server.on('connection', (ws, request) => {
  const command = new URL(request.url ?? '', 'ws://terminal').searchParams.get('command') ?? '';
  const terminal = pty.spawn('/bin/sh', ['-c', command], { encoding: null });
  terminal.onData((data) => ws.send(data));
  terminal.onExit(() => ws.close());
  ws.on('message', (bytes: Buffer) => terminal.write(bytes.toString()));
  ws.on('close', () => terminal.kill());
});
await once(server, 'listening');
const address = server.address();
if (address === null || typeof address === 'string') throw new Error('no port');
console.log(`ready ${address.port}`);
