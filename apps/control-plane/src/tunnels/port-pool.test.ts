import { beforeEach, describe, expect, it } from 'vitest';
import { loadServerConfig } from '../config.ts';
import { PortsOfSystem } from './leases-fixture.ts';
import { LeasedPorts, leasePorts } from './port-pool.ts';

const RANGE = { first: 30_000, last: 30_004 };

let system: PortsOfSystem;
let ports: LeasedPorts;
beforeEach(() => {
  system = new PortsOfSystem();
  ports = new LeasedPorts(RANGE, system.bind);
});

async function take(count: number, from = 0): Promise<number[]> {
  const taken: number[] = [];
  for (let index = from; index < from + count; index += 1) taken.push(await ports.take(`t${index}`));
  return taken;
}

describe('leased ports', () => {
  it('are given in their order, from the first to the last and round again', async () => {
    expect(await take(5)).toEqual([30_000, 30_001, 30_002, 30_003, 30_004]);
    await ports.release('t1');
    await ports.release('t3');
    expect(await take(2, 5)).toEqual([30_001, 30_003]);
  });

  it('go on after the last that was given, however many are free before it', async () => {
    await take(2);
    await ports.release('t0');
    expect(await take(1, 2)).toEqual([30_002]);
  });

  it('leave out what somebody else uses, and what may not be used', async () => {
    system.refused.set(30_000, 'EADDRINUSE').set(30_001, 'EACCES');
    expect(await take(1)).toEqual([30_002]);
  });

  it('are refused by name when none is left, and are not lost by that', async () => {
    expect({ size: ports.size, used: ports.used }).toEqual({ size: 5, used: 0 });
    await take(5);
    expect(ports.used).toBe(5);
    await expect(ports.take('t9')).rejects.toMatchObject({
      code: 'port_pool_exhausted',
      message: 'no port of 30000-30004 is free: tunnels.port_range',
    });
    await ports.release('t2');
    expect(await ports.take('t9')).toBe(30_002);
  });

  it('are not tried further when the process has no descriptors left', async () => {
    system.refused.set(30_000, 'EMFILE');
    await expect(ports.take('t0')).rejects.toMatchObject({ code: 'port_pool_exhausted', message: /EMFILE/ });
    expect({ used: ports.used, open: system.open.size }).toEqual({ used: 0, open: 0 });
  });

  it('are given to one of those who ask at the same moment', async () => {
    const taken = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((tunnelId) => ports.take(tunnelId)));
    expect(new Set(taken).size).toBe(5);
    expect(system.open.size).toBe(5);
  });

  it('are closed when they are given back, once', async () => {
    await take(2);
    await Promise.all([ports.release('t0'), ports.release('t0')]);
    await ports.release('nobody');
    expect([...system.open.keys()]).toEqual([30_001]);
    await ports[Symbol.asyncDispose]();
    expect({ used: ports.used, open: system.open.size }).toEqual({ used: 0, open: 0 });
  });

  it('are the same again after a restart, or another one where that is taken or was of another range', async () => {
    expect(await ports.takeAgain(30_003, 'a')).toBe(30_003);
    expect(await ports.takeAgain(30_003, 'b')).toBe(30_000);
    expect(await ports.takeAgain(7_400, 'c')).toBe(30_001);
  });
});

describe('a shared port', () => {
  const portFor = (overrides: Record<string, unknown>, publicUrl = '') =>
    leasePorts(loadServerConfig({ env: {}, overrides }), { publicUrl: () => publicUrl, bindPort: undefined });

  it.each([
    [{}, '', 7400],
    [{ listen: { port: 0 } }, 'http://127.0.0.1:41234', 41_234],
    [{ listen: { public_url: 'https://control.example.com' } }, '', 443],
    [{ listen: { public_url: 'https://control.example.com:8443' } }, 'http://127.0.0.1:7400', 8443],
  ])('is the one by which others reach the main listener: %j', async (config, publicUrl, port) => {
    expect(await portFor(config, publicUrl).take('t')).toBe(port);
    expect(await portFor(config, publicUrl).takeAgain(30_000, 't')).toBe(port);
  });

  it('stays what it was while nobody knows what it is', async () => {
    expect(await portFor({ listen: { port: 0 } }).takeAgain(7400, 't')).toBe(7400);
  });
});
