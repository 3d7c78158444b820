import { fileURLToPath } from 'node:url';
import { findProgram, requires, TestProcess } from '@drawbridge/testkit';
import { expect, it } from 'vitest';

const BENCH = fileURLToPath(new URL('../../bench/main.ts', import.meta.url));
const TIMEOUT_MS = 100_000;

const ENGINES = requires('postgres') ? (['sqlite', 'postgres'] as const) : (['sqlite'] as const);

const PARTS = ['operator', 'relay', 'agent'];
const TRANSFERS = ['up_1', 'down_1', 'up_2', 'down_2'].map((what) => `${what}_megabytes_per_second`);
const COSTS = [
  ...PARTS.map((part) => `${part}_cpu_seconds_per_gigabyte`),
  'cpu_seconds_per_gigabyte',
  'relay_peak_rss_mib',
];
const LATENCIES = ['round_trip_p50_ms', 'round_trip_p99_ms', 'connections_per_second'];

/** What the proxy is compared with, where it is installed. */
const BESIDE = findProgram('nginx') === undefined ? [''] : ['', '_beside_nginx'];

const FIGURES = {
  api: ENGINES.flatMap((engine) =>
    [`read_agents_${engine}`, `create_commands_${engine}`].flatMap((what) => [
      `${what}_requests_per_second`,
      `${what}_p50_ms`,
      `${what}_p99_ms`,
    ]),
  ),
  proxy: BESIDE.flatMap((suffix) =>
    ['requests_per_second', 'p50_ms', 'p99_ms'].map((figure) => `small_get_${figure}${suffix}`),
  ).concat(BESIDE.map((suffix) => `large_get_megabytes_per_second${suffix}`)),
  store: ENGINES.flatMap((engine) => {
    const rates = [1, 16, 256].map((callers) => `commands_per_second_${engine}_${callers}`);
    if (engine === 'postgres') return rates;
    return rates.flatMap((rate, index) => (index === 0 ? [rate] : [rate, `${rate}_beside_batches`]));
  }),
  terminal: ['', '_beside_bare_pty']
    .map((suffix) => `output_megabytes_per_second${suffix}`)
    .concat(['', '_beside_bare_pty'].flatMap((suffix) => [`echo_p50_ms${suffix}`, `echo_p99_ms${suffix}`])),
  links: ['connect_all_seconds', 'rss_per_link_kib', 'cpu_per_link_and_heartbeat_ms', 'reconnect_all_seconds'],
  dispatch: [
    'agent_at_rest_rss_mib',
    'agent_from_sources_at_rest_rss_mib',
    'agent_at_rest_cpu_percent',
    ...latenciesOf('idle'),
    'agent_journal_write_p50_ms',
    ...latenciesOf('with_10_agents'),
  ],
  tunnel: [
    ...carriersBeside('', [...TRANSFERS, ...COSTS, ...LATENCIES]),
    ...carriersBeside('_beside_aes128_gcm', [...TRANSFERS, ...COSTS, ...LATENCIES]),
    ...carriersBeside('_beside_pipes', [...TRANSFERS, ...COSTS, ...LATENCIES]),
    ...carriersBeside('_beside_socat', [...TRANSFERS, ...LATENCIES]),
    ...['beside_a_busy_tunnel', 'in_a_busy_tunnel'].flatMap((where) => [
      `echo_${where}_p50_ms`,
      `echo_${where}_p99_ms`,
    ]),
    'beside_an_unread_channel_megabytes_per_second',
    ...PARTS.map((part) => `beside_an_unread_channel_${part}_peak_rss_mib`),
    ...PARTS.map((part) => `unread_streams_${part}_rss_mib`),
    ...PARTS.map((part) => `stopped_operator_${part}_rss_mib`),
  ],
  wan: ['up', 'up_second_half', 'down', 'down_second_half'].flatMap((what) => [
    `${what}_megabytes_per_second`,
    `${what}_megabytes_per_second_beside_the_link`,
  ]),
} as const;

const BENCHES = [
  'api',
  'dispatch',
  'links',
  'proxy',
  'store',
  'wan',
  ...(requires('ssh', 'sshd') ? (['terminal'] as const) : []),
  ...(requires('sshd', 'socat') ? (['tunnel'] as const) : []),
] as const;

it.skipIf(process.platform !== 'linux').each(BENCHES)(
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

function carriersBeside(reference: string, names: readonly string[]): string[] {
  return names.map((name) => `${name}${reference}`);
}

function latenciesOf(when: string): string[] {
  return ['api_to_process', 'api_to_final_state'].flatMap((what) => [
    `${what}_${when}_p50_ms`,
    `${what}_${when}_p99_ms`,
  ]);
}
