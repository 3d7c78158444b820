import { expect, it } from 'vitest';
import { leaseGauges } from './lease-gauges.ts';
import { Metrics } from './metrics.ts';

it('counts leases by state and by domain, and the ports they have, as of the moment somebody asks', async () => {
  const metrics = new Metrics();
  const leases: { state: 'pending' | 'active'; domain: string }[] = [{ state: 'pending', domain: 'ps' }];
  const ports = { used: 1, size: 10 };
  leaseGauges(metrics, { all: () => leases }, ports);
  const shown = async () => {
    const text = await metrics.registry.metrics();
    return text
      .split('\n')
      .filter((line) => /^drawbridge_tunnel_(leases|domain_leases|ports)/.test(line) && !line.endsWith(' 0'));
  };
  expect(await shown()).toEqual([
    'drawbridge_tunnel_leases{state="pending"} 1',
    'drawbridge_tunnel_domain_leases{domain="ps"} 1',
    'drawbridge_tunnel_ports 10',
    'drawbridge_tunnel_ports_used 1',
  ]);
  leases.splice(0, 1, { state: 'active', domain: 'ssh' }, { state: 'active', domain: 'ssh' });
  ports.used = 2;
  expect(await shown()).toEqual([
    'drawbridge_tunnel_leases{state="active"} 2',
    'drawbridge_tunnel_domain_leases{domain="ssh"} 2',
    'drawbridge_tunnel_ports 10',
    'drawbridge_tunnel_ports_used 2',
  ]);
});

it('shows a state and a domain without leases as 0', async () => {
  const metrics = new Metrics();
  leaseGauges(metrics, { all: () => [] }, { used: 0, size: 0 });
  const text = await metrics.registry.metrics();
  expect(text).toContain('drawbridge_tunnel_leases{state="grace"} 0');
  expect(text).toContain('drawbridge_tunnel_domain_leases{domain="webrtc"} 0');
  expect(text).not.toMatch(/tunnel_leases{state="(closed|expired)"/);
});
