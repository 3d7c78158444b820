import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { ControlPlaneFixture } from '../apps/control-plane/src/control-plane-fixture.ts';
import { liveGauges } from '../apps/control-plane/src/live-gauges.ts';
import { commandBacklog } from '../apps/control-plane/src/observability/command-backlog.ts';
import { leaseGauges } from '../apps/control-plane/src/observability/lease-gauges.ts';
import { collectProcessMetrics } from '../apps/control-plane/src/observability/process-metrics.ts';
import { storeMetrics } from '../apps/control-plane/src/observability/store-metrics.ts';
import { readConfigFile } from '../packages/runtime/src/config-file.ts';
import { systemClock } from '@drawbridge/link';
import { TempDir, requires } from '@drawbridge/testkit';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const RULES = `${ROOT}deploy/prometheus/alerts.yml`;
const read = (page: string) => readFileSync(`${ROOT}${page}`, 'utf8');

interface Exported {
  readonly type: string;
  readonly help: string;
  readonly labels: ReadonlySet<string>;
}

/** What a control plane exports that has seen one of everything. */
let exported: ReadonlyMap<string, Exported>;
beforeAll(async () => {
  await using control = await ControlPlaneFixture.make();
  const { metrics, presence, db, store } = control.parts;
  collectProcessMetrics(metrics.registry);
  liveGauges(metrics, presence, { size: 0 });
  leaseGauges(metrics, { all: () => [] }, { used: 0, size: 0 });
  storeMetrics(metrics, () => store.stats());
  commandBacklog(metrics, db, systemClock);
  metrics.http.answered({ method: 'GET', route: '/x', status: 200, seconds: 1 });
  const at = '2026-01-07T10:00:00.000Z';
  const times = { created_at: at, delivered_at: at, ended_at: at };
  const row = { operation: 'agent.ping', state: 'succeeded', ...times };
  metrics.commands.moved(row as Parameters<typeof metrics.commands.moved>[0]);
  exported = parseExposition(await metrics.registry.metrics());
});

describe('docs/operations.md', () => {
  it('describes every metric of ours, by its type, its labels and its help, and no other', () => {
    const rows = [
      ...read('docs/operations.md').matchAll(/^\| `(drawbridge_\w+)` +\| (\w+) +\| (.*?) +\| (.*?) +\|$/gm),
    ];
    const described = rows.map(([, name, type, labels, help]) => [name, type, labels, help]);
    const ours = [...exported].filter(([name]) => name.startsWith('drawbridge_'));
    const wanted = ours.map(([name, { type, labels, help }]) => {
      return [name, type, [...labels].map((label) => '`' + label + '`').join(', ') || '—', help];
    });
    expect(described.toSorted(byName)).toEqual(wanted.toSorted(byName));
  });
});

const Rules = z.object({
  groups: z.array(z.object({ rules: z.array(z.object({ alert: z.string(), expr: z.string() })) })),
});
const Dashboard = z.object({
  panels: z.array(z.object({ title: z.string(), targets: z.array(z.object({ expr: z.string() })).optional() })),
});

const EXPRESSIONS = [
  ...Rules.parse(readConfigFile(RULES)).groups.flatMap(({ rules }) => {
    return rules.map(({ alert, expr }) => ({ where: `alert ${alert}`, expr }));
  }),
  ...Dashboard.parse(JSON.parse(read('deploy/grafana/drawbridge.json'))).panels.flatMap(({ title, targets = [] }) => {
    return targets.map(({ expr }) => ({ where: `panel "${title}"`, expr }));
  }),
];

describe('the alerts and the dashboard', () => {
  it('are there', () => {
    expect(EXPRESSIONS.length).toBeGreaterThan(50);
  });

  it.each(EXPRESSIONS)('ask, in $where, for what is exported: $expr', ({ expr }) => {
    expect(strangersIn(expr)).toEqual([]);
  });

  it.each([
    ['rate(drawbridge_gone_total[5m])', ['drawbridge_gone_total']],
    ['sum by (agent) (drawbridge_agents_connected)', ['agent']],
    ['drawbridge_agent_connections_total{sort="first"}', ['sort']],
    ['rat(drawbridge_store_commits_total[5m])', ['rat']],
  ])('would be caught with %s', (expr, strangers) => {
    expect(strangersIn(expr)).toEqual(strangers);
  });

  it('never tell agents apart: there is no label for that', () => {
    const labels = new Set([...exported.values()].flatMap((metric) => [...metric.labels]));
    expect([...labels].filter((label) => /agent|name|user|task|id$/i.test(label))).toEqual([]);
  });
});

describe.runIf(requires('promtool'))('promtool', () => {
  it('takes the rules, and they fire when they should', () => {
    const cwd = `${ROOT}deploy/prometheus`;
    execFileSync('promtool', ['check', 'rules', 'alerts.yml'], { cwd, stdio: 'pipe' });
    execFileSync('promtool', ['test', 'rules', 'alerts.test.yml'], { cwd, stdio: 'pipe' });
  });

  it('takes every expression of the dashboard', async () => {
    await using dir = await TempDir.make();
    const rules = EXPRESSIONS.map(({ expr }, index) => ({ record: `panel:${index}`, expr: filledIn(expr) }));
    const file = dir.join('rules.json');
    await writeFile(file, JSON.stringify({ groups: [{ name: 'panels', rules }] }));
    execFileSync('promtool', ['check', 'rules', file], { stdio: 'pipe' });
  });
});

const WORDS = new Set(['sum', 'by', 'rate', 'increase', 'histogram_quantile']);
/** What Prometheus adds itself. */
const SCRAPED = new Set(['job', 'instance', 'le']);

/** The words of an expression that are no function, no metric that is exported, and no label of one it names. */
function strangersIn(expr: string): string[] {
  const words = filledIn(expr)
    .replaceAll(/"[^"]*"/g, '""')
    .replaceAll(/\[\w+\]/g, '')
    .match(/[a-z_]\w*/gi);
  const metrics = (words ?? []).flatMap((word) => exported.get(metricOf(word)) ?? []);
  return (words ?? []).filter((word) => {
    if (WORDS.has(word) || SCRAPED.has(word) || word === 'up' || exported.has(metricOf(word))) return false;
    return !metrics.some(({ labels }) => labels.has(word));
  });
}

/** As Grafana sends it. */
function filledIn(expr: string): string {
  return expr.replaceAll('$__rate_interval', '5m').replaceAll('$instance', '.*');
}

/** A histogram is asked for by its parts. */
function metricOf(name: string): string {
  const whole = name.replace(/_(bucket|count|sum)$/, '');
  return exported.get(whole)?.type === 'histogram' ? whole : name;
}

function parseExposition(text: string): Map<string, Exported> {
  const found = new Map<string, { type: string; help: string; labels: Set<string> }>();
  const metric = (name: string) => {
    const entry = found.get(name) ?? { type: '', help: '', labels: new Set<string>() };
    found.set(name, entry);
    return entry;
  };
  for (const line of text.split('\n')) {
    const [, kind, name = '', rest = ''] = /^# (HELP|TYPE) (\w+) (.*)$/.exec(line) ?? [];
    if (kind === 'HELP') metric(name).help = rest;
    if (kind === 'TYPE') metric(name).type = rest;
    const [, series = '', labels = ''] = /^(\w+)\{(.*)\}/.exec(line) ?? [];
    const whole = series.replace(/_(bucket|count|sum)$/, '');
    const owner = found.get(whole)?.type === 'histogram' ? whole : series;
    for (const [, label = ''] of labels.matchAll(/(\w+)="/g)) if (label !== 'le') metric(owner).labels.add(label);
  }
  return found;
}

function byName([one = '']: readonly unknown[], [other = '']: readonly unknown[]): number {
  return String(one).localeCompare(String(other));
}
