// What the control plane is compared with: a bare `ws` on a bare `https` that greets and echoes. Started by `links`.
// usage: reference-ws-server.ts CERT_FILE KEY_FILE
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { WebSocketServer } from 'ws';

const [certFile = '', keyFile = ''] = process.argv.slice(2);
const server = createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile), minVersion: 'TLSv1.2' });
const sockets = new WebSocketServer({ server, perMessageDeflate: false, clientTracking: false });
sockets.on('connection', (ws) => {
  ws.on('error', () => ws.terminate());
  ws.on('message', (data, binary) => ws.send(data, { binary }));
  ws.send('hello');
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (typeof address === 'object' && address !== null) console.log(`ready https://127.0.0.1:${address.port}`);
});
