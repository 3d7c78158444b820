import { type ServiceStep, describeStep } from './service-steps.ts';

/** What installing or removing a service did, or would do. */
export interface ServiceReport {
  readonly action: string;
  readonly unit: string;
  readonly path: string;
  readonly isDryRun: boolean;
  readonly steps: readonly ServiceStep[];
  readonly notes: readonly string[];
}

/** The report for a person, or as one JSON document. A dry run shows the file whole. */
export function renderReport(report: ServiceReport, asJson: boolean): string {
  const { action, unit, path, isDryRun, steps, notes } = report;
  if (asJson) {
    const document = { action, unit, path, dry_run: isDryRun, changed: changesAFile(steps), steps, notes };
    return `${JSON.stringify(document)}\n`;
  }
  const lines = steps.flatMap((step) => {
    if (!isDryRun) return [describeStep(step)];
    return step.is === 'write' ? [`# ${step.path}`, step.text] : [describeStep(step)];
  });
  const done = isDryRun || steps.length === 0 ? [] : [`${unit}: ${action} done`];
  return [...lines, ...done, ...notes.map((note) => `note: ${note}`), ''].join('\n');
}

function changesAFile(steps: readonly ServiceStep[]): boolean {
  return steps.some(({ is }) => is !== 'run');
}
