import { resolve } from 'node:path';
import { scaled } from '@drawbridge/testkit';
import { compareCarriers } from './tunnel/compare-carriers.ts';
import { measureKeystrokes } from './tunnel/keystrokes.ts';
import { startPipes } from './tunnel/pipe-carrier.ts';
import { Rig } from './tunnel/rig.ts';
import { SshServer } from './tunnel/ssh-carrier.ts';
import { startSocat } from './tunnel/socat-carrier.ts';
import { measureStalls } from './tunnel/stalls.ts';
import { startSink, TcpLoad } from './tunnel/tcp-load.ts';

const ROUNDS = 5;
const ROUND_MS = 3_000;
const PROFILE_MS = 10_000;

/**
 * TCP through a tunnel, TLS on both legs, every part a process of its own: as fast, as quick and as cheap as what? Beside
 * OpenSSH with as many encrypted hops and `socat` with as many plain ones, in turns. Then keystrokes beside bulk, and what
 * those cost who do not read.
 */
export async function tunnel(): Promise<void> {
  await using sink = await startSink();
  await using load = await TcpLoad.start();
  // The end of a chain for keystrokes alone: bulk must not be what they wait for there.
  await using echo = await startSink();
  await using keyboard = await TcpLoad.start();
  {
    await using rig = await Rig.start();
    await compare(rig, load, sink.ready);
    await measureKeystrokes(rig, { keyboard, load, echoPort: echo.ready, sinkPort: sink.ready });
  }
  await measureStalls({ load: keyboard, stuck: load, sinkPort: sink.ready });
}

/** Leaves a CPU profile of operator, relay and agent below `dir`, of one stream up and then one down. */
export async function profileTunnel(dir: string): Promise<void> {
  await using sink = await startSink();
  await using load = await TcpLoad.start();
  await using rig = await Rig.start({ profileDir: resolve(dir) });
  await using ours = await rig.forward(sink.ready);
  for (const direction of ['up', 'down'] as const) {
    const { bytes, seconds } = await load.transfer(direction, ours.port, 1, scaled(PROFILE_MS, 1_000));
    console.log(`${direction}: ${(bytes / 1e6 / seconds).toFixed(0)} MB/s while profiled`);
  }
}

async function compare(rig: Rig, load: TcpLoad, sinkPort: number): Promise<void> {
  await using ours = await rig.forward(sinkPort);
  await using sshServer = await SshServer.start();
  await using ssh = await sshServer.forward(sinkPort);
  await using sshGcm = await sshServer.forward(sinkPort, 'aes128-gcm@openssh.com');
  await using pipes = await startPipes(sinkPort);
  await using socat = await startSocat(sinkPort);
  const carriers = { ours, ssh, sshGcm, pipes, socat };
  await compareCarriers(carriers, load, { rounds: scaled(ROUNDS), forMs: scaled(ROUND_MS, 100) });
}
