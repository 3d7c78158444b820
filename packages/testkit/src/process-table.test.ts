import { once } from 'node:events';
import { createSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { eventually } from './eventually.ts';
import { listenersOf } from './listeners.ts';
import { listeningPort } from './listening-port.ts';
import { childrenOf, isAlive, memoryOf, processesUsing } from './process-table.ts';
import { requires } from './requirement.ts';
import { TempDir } from './temp-dir.ts';
import { TestProcess } from './test-process.ts';

describe.runIf(requires('linux'))('the process table', () => {
  it('knows what a process holds in memory', () => {
    const { rssBytes, peakRssBytes } = memoryOf(process.pid);
    expect(Math.abs(rssBytes - process.memoryUsage.rss())).toBeLessThan(64 * 1024 * 1024);
    expect(peakRssBytes).toBeGreaterThanOrEqual(rssBytes);
    // The kernel's own account is no smaller, but for what was measured meanwhile; it remembers the program before this one too.
    expect(peakRssBytes - process.resourceUsage().maxRSS * 1024).toBeLessThan(64 * 1024 * 1024);
  });

  it('knows children and their children, whatever their names', async () => {
    const script = `echo 'a) S 1' > /proc/$$/comm; sh -c 'sh -c "sleep 1000; :" & wait' & wait`;
    await using shell = await TestProcess.start({ command: 'bash', args: ['-c', script] });
    // Two shells and the sleep.
    const children = await eventually(() => childrenOf(shell.pid), {
      what: 'the children',
      until: ({ length }) => length === 3,
    });
    expect(childrenOf(process.pid)).toEqual(expect.arrayContaining([shell.pid, ...children]));
  });

  it('takes a process that is not waited for as dead', async () => {
    // It ends once the outer shell has become a program that waits for nobody.
    const script = `sh -c 'until grep -q sleep /proc/$PPID/comm; do sleep 0.01; done; echo $$' & exec sleep 1000`;
    await using shell = await TestProcess.start({ command: 'bash', args: ['-c', script] });
    const said = await shell.waitFor(() => shell.stdout.lines[0], { what: 'the pid', timeoutMs: 30_000 });
    await eventually(() => !isAlive(Number(said)), { what: 'its end' });
    expect(childrenOf(shell.pid)).toContain(Number(said));
  });

  it('finds who uses a directory: on the command line, or by working in it', async () => {
    await using dir = await TempDir.make();
    const args = ['-c', 'echo ready; read line', 'sh'];
    await using named = await TestProcess.start({ command: 'sh', args: [...args, dir.join('file')] });
    await using inside = await TestProcess.start({ command: 'sh', args, cwd: dir.path });
    await using other = await TestProcess.start({ command: 'sh', args: [...args, `${dir.path}-other`] });
    for (const shell of [named, inside, other]) {
      await shell.waitFor(() => shell.stdout.lines[0], { what: 'the shell', timeoutMs: 30_000 });
    }
    expect(new Set(processesUsing(dir.path))).toEqual(new Set([named.pid, inside.pid]));
  });
});

describe.runIf(requires('linux'))('listeners', () => {
  it.each([
    ['tcp', '127.0.0.1'],
    ['tcp6', '::1'],
  ] as const)('are found for %s on %s, and its connections are not taken for them', async (protocol, host) => {
    const before = listenersOf(process.pid);
    const server = createServer().listen(0, host);
    await once(server, 'listening');
    const port = listeningPort(server);
    const client = connect(port, host);
    await Promise.all([once(client, 'connect'), once(server, 'connection')]);
    expect(listenersOf(process.pid)).toEqual([...before, { protocol, address: host, port }]);
    client.destroy();
    server.close();
    await once(server, 'close');
    expect(listenersOf(process.pid)).toEqual(before);
  });

  it('are found for UDP, unless the socket talks to one peer only', async () => {
    const before = listenersOf(process.pid);
    const open = createSocket('udp4').bind(0, '127.0.0.1');
    await once(open, 'listening');
    const { port } = open.address();
    const connected = createSocket('udp4');
    connected.connect(port, '127.0.0.1');
    await once(connected, 'connect');
    expect(listenersOf(process.pid)).toEqual([...before, { protocol: 'udp', address: '127.0.0.1', port }]);
    open.close();
    connected.close();
  });
});
