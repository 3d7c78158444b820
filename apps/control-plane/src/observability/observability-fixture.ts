import type { Registry } from 'prom-client';

/** For tests: what a registry shows now, by series: `name{label="value"}`. Series without a number are not there. */
export async function seriesOf(registry: Registry): Promise<ReadonlyMap<string, number>> {
  const lines = (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}
