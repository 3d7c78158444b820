// One of three processes in a row that pass bytes on over TLS, and do nothing else. Started by `startPipes`.
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { freeMemory } from '@drawbridge/runtime/free-memory';
import { listeningPort, makePki, TempDir } from '@drawbridge/testkit';
import { work } from './work.ts';

/** Connections that the agent's process has ready, as nobody can ask it for one. */
const IDLE_CONNECTIONS = 64;

function join(a: Socket, b: Socket): void {
  passOn(a, b);
  passOn(b, a);
}

function passOn(from: Socket, to: Socket): void {
  from.on('data', (chunk: Buffer) => {
    if (!to.write(chunk, () => freeMemory(chunk))) from.pause();
  });
  to.on('drain', () => from.resume());
  from.on('end', () => to.end());
  from.on('error', () => to.destroy());
}

async function portOf(server: Server): Promise<number> {
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1_024 });
  await once(server, 'listening');
  return listeningPort(server);
}

function dialTls(port: number): TLSSocket {
  // What is measured is encryption; that it is the right server is known.
  const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
  socket.allowHalfOpen = true;
  socket.setNoDelay();
  // The bench is over, and the process about to end.
  socket.on('error', () => {});
  return socket;
}

const CONNECTION = { allowHalfOpen: true, noDelay: true };

/** Listens for connections, and passes each on to the relay. */
function operator(relayPort: number): Promise<number> {
  return portOf(createServer(CONNECTION, (socket) => join(socket, dialTls(relayPort))));
}

/** Joins each connection of the operator's process to one of the agent's. */
async function relay(): Promise<readonly [operatorPort: number, agentPort: number]> {
  await using dir = await TempDir.make();
  const { server } = await makePki(dir.path);
  const options = { ...CONNECTION, key: server.key, cert: server.cert };
  const idle: TLSSocket[] = [];
  const waiting: TLSSocket[] = [];
  const meet = () => {
    const [one, other] = [waiting[0], idle[0]];
    if (one === undefined || other === undefined) return;
    waiting.shift();
    idle.shift();
    join(one, other);
  };
  const from = (these: TLSSocket[]) =>
    createTlsServer(options, (socket) => {
      these.push(socket);
      meet();
    });
  return [await portOf(from(waiting)), await portOf(from(idle))];
}

/** Passes what comes on each of its connections to the relay on to the sink. */
function agent(relayPort: number, sinkPort: number): null {
  const dial = () => {
    const socket = dialTls(relayPort);
    socket.once('readable', () => {
      dial();
      join(socket, connect({ port: sinkPort, host: '127.0.0.1', ...CONNECTION }));
      socket.resume();
    });
  };
  for (let index = 0; index < IDLE_CONNECTIONS; index += 1) dial();
  return null;
}

const [role, ...ports] = process.argv.slice(2);
const [first = 0, second = 0] = ports.map(Number);
const ready = role === 'relay' ? await relay() : role === 'agent' ? agent(first, second) : await operator(first);
work(ready, async () => null);
