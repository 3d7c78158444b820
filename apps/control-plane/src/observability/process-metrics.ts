import { PROTOCOL_VERSION } from '@drawbridge/protocol';
import { PROGRAM_VERSION } from '@drawbridge/runtime';
import { Gauge, collectDefaultMetrics } from 'prom-client';
import type { Registry } from 'prom-client';

/** The event loop is looked at this often; a stall shorter than that is not seen, and an idle process stays idle. */
const EVENT_LOOP_PRECISION_MS = 20;

/** What Node knows about this process, and which program it is. Once a process: Node's observers are never taken down. */
export function collectProcessMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: EVENT_LOOP_PRECISION_MS });
  new Gauge({
    name: 'drawbridge_build_info',
    help: 'Which program this is: always 1.',
    labelNames: ['version', 'protocol', 'node'] as const,
    registers: [registry],
  }).set({ version: PROGRAM_VERSION, protocol: String(PROTOCOL_VERSION), node: process.version }, 1);
}
