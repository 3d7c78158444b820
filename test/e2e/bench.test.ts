import { fileURLToPath } from 'node:url';
import { TestProcess } from '@drawbridge/testkit';
import { expect, it } from 'vitest';

const BENCH = fileURLToPath(new URL('../../bench/main.ts', import.meta.url));
const TIMEOUT_MS = 100_000;

const FIGURES = {
  links: ['connect_all_seconds', 'rss_per_link_kib', 'cpu_per_link_and_heartbeat_ms', 'reconnect_all_seconds'],
  dispatch: [
    'agent_at_rest_rss_mib',
    'agent_at_rest_cpu_percent',
    ...latenciesOf('idle'),
    'agent_journal_write_p50_ms',
    ...latenciesOf('with_10_agents'),
  ],
} as const;

it.skipIf(process.platform !== 'linux').each(['links', 'dispatch'] as const)(
  'prints every figure of %s with a finite ratio to its reference',
  async (bench) => {
    const lines = await runBench(bench, '0.005');
    expect(lines.map(({ figure }) => figure)).toEqual(FIGURES[bench]);
    for (const line of lines) {
      expect(line).toMatchObject({ bench, against: expect.any(String), size: expect.any(Number) });
      expect(line.ratio / (line.value / line.reference)).toBeCloseTo(1, 2);
    }
  },
);

interface Line {
  readonly bench: string;
  readonly figure: string;
  readonly value: number;
  readonly reference: number;
  readonly ratio: number;
}

/** What a bench prints at a size that shows only that it works. */
async function runBench(bench: string, scale: string): Promise<Line[]> {
  const args = ['--disable-warning=ExperimentalWarning', BENCH, bench, '--scale', scale];
  await using program = await TestProcess.start({ command: process.execPath, args, env: process.env });
  const { code } = await program.exited(TIMEOUT_MS);
  expect({ code, stderr: program.stderr.text }).toMatchObject({ code: 0 });
  return program.stdout.lines.map((line): Line => JSON.parse(line));
}

function latenciesOf(when: string): string[] {
  return ['api_to_process', 'api_to_final_state'].flatMap((what) => [
    `${what}_${when}_p50_ms`,
    `${what}_${when}_p99_ms`,
  ]);
}
