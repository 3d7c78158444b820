import { expect, it } from 'vitest';
import { HeartbeatPayload } from '@drawbridge/protocol';
import { FakeClock } from '@drawbridge/testkit';
import { AGENT_LIMITS } from '../limits.ts';
import { cpuShare, cpuTimes } from './cpu.ts';
import { HealthSampler } from './health-sampler.ts';
import { ListenerCheck } from './listeners.ts';
import { bandwidth, parseNetDev } from './network.ts';

function sampler(clock: FakeClock, dockerSocket?: string) {
  let probes = 0;
  const sources = {
    probeProviders: async () => {
      probes += 1;
      return [{ name: 'shell', available: true, actions: ['execute_task'] }];
    },
    tasksRunning: () => 1,
    sessions: () => 2,
    tunnels: () => 3,
    creditStalls: () => 7,
  };
  const health = new HealthSampler({ clock, sources, listenerCheck: new ListenerCheck(clock), dockerSocket });
  return { health, probes: () => probes };
}

it('fills a heartbeat that the wire accepts', async () => {
  const { health } = sampler(new FakeClock(), '/no/such/docker.sock');
  const sample = HeartbeatPayload.parse(await health.sample());
  expect(sample).toMatchObject({
    providers: [{ name: 'shell', available: true }],
    docker: { reachable: false },
    tasks_running: 1,
    sessions: 2,
    tunnels: 3,
    credit_stalls: 7,
  });
  expect(sample.memory?.rss_bytes).toBeLessThan(sample.memory?.total_bytes ?? 0);
});

it('says nothing about an engine it was not told to look for', async () => {
  expect(await sampler(new FakeClock()).health.sample()).not.toHaveProperty('docker');
});

it('has rates only from the second sample on', async () => {
  const clock = new FakeClock();
  const { health } = sampler(clock);
  const first = await health.sample();
  expect([first.cpu, first.bandwidth]).toEqual([undefined, undefined]);
  await clock.advance(1000);
  expect((await health.sample()).bandwidth?.received_bytes_per_second).toBeGreaterThanOrEqual(0);
});

it('looks for the providers every few minutes only', async () => {
  const clock = new FakeClock();
  const { health, probes } = sampler(clock);
  await Promise.all([health.sample(), health.sample()]);
  await clock.advance(AGENT_LIMITS.providerProbeIntervalMs - 1);
  await health.sample();
  expect(probes()).toBe(1);
  await clock.advance(1);
  await health.sample();
  expect(probes()).toBe(2);
});

it('takes the share of the time in which processors were busy', () => {
  const cpu = (user: number, idle: number) => ({
    model: '',
    speed: 0,
    times: { user, idle, nice: 0, sys: 0, irq: 0 },
  });
  const from = cpuTimes([cpu(100, 100), cpu(0, 0)]);
  expect(cpuShare(from, cpuTimes([cpu(130, 130), cpu(0, 40)]))).toBe(0.3);
  expect(cpuShare(from, from)).toBeUndefined();
});

it('counts what all interfaces carry, and leaves loopback out', () => {
  const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 9999 1 0 0 0 0 0 0 9999 1 0 0 0 0 0 0
  eth0:1000 2 0 0 0 0 0 0 500 3 0 0 0 0 0 0
 wlan0: 24 2 0 0 0 0 0 0 12 3 0 0 0 0 0 0
`;
  expect(parseNetDev(text)).toEqual({ received: 1024, sent: 512 });
});

it('makes bytes per second of counters, and 0 of a counter that went back', () => {
  expect(bandwidth({ received: 0, sent: 500 }, { received: 3000, sent: 400 }, 2000)).toEqual({
    received_bytes_per_second: 1500,
    sent_bytes_per_second: 0,
  });
});
