import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { Option } from 'commander';
import type { AuditFilter } from '@drawbridge/client';
import { AuditAnchorText, AuditResult } from '@drawbridge/protocol/api';
import type { AuditAnchor, AuditRecord, AuditReport } from '@drawbridge/protocol/api';
import { connect } from '../access.ts';
import type { AccessOptions } from '../access.ts';
import { verifyAuditFile } from '../audit-file.ts';
import { describeCommand } from '../describe-command.ts';
import { ExitCode, UsageError } from '../exit-codes.ts';
import { line, note, print, printAll, write } from '../output.ts';
import type { Colour, JsonOption } from '../output.ts';
import { table } from '../table.ts';
import type { Column } from '../table.ts';

type Common = JsonOption & AccessOptions;
type ListOptions = Common & AuditFilter & { readonly limit: string };

interface VerifyOptions extends Common {
  readonly expect?: string;
  readonly file?: string;
  readonly key?: string;
}

/** `audit`: who did what; whether that record can be trusted; a copy of it. */
export function defineAudit(group: Command): void {
  group.description('Who did what, to what, from where, and how it ended.');
  describeCommand(group.command('ls'), {
    does: 'Lists the newest records of the audit log.',
    examples: ['audit ls --result denied', 'audit ls --agent build-1 --since 2026-01-07T00:00:00Z'],
    json: 'lines',
  })
    .option('--agent <agent>', 'only about this agent (id or name)')
    .option('--actor <actor>', 'only by this one (kind:id)')
    .option('--verb <verb>', 'only this verb, such as task.run')
    .option('--resource <resource>', 'only about this thing (kind:id)')
    .addOption(new Option('--result <result>', 'only those').choices(AuditResult.options))
    .option('--since <time>', 'only from this time on (ISO 8601)')
    .option('--until <time>', 'only before this time (ISO 8601)')
    .option('--limit <n>', 'how many', '50')
    .action(listRecords);
  describeCommand(group.command('verify'), {
    does: 'Checks that no record was edited, removed, inserted or cut off; a file is checked without asking anybody.',
    examples: ['audit verify', 'audit verify --file audit.ndjson --key 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo'],
    json: 'document',
  })
    .option('--expect <seq:hash>', 'a record noted earlier, which must be there unchanged')
    .option('--file <file>', 'check an export instead of the control plane')
    .option('--key <key>', "with --file: the control plane's public key, when the file's own word is not enough")
    .action(verify);
  describeCommand(group.command('export'), {
    does: 'Writes the whole audit log as NDJSON, signed up to its end.',
    examples: ['audit export --output audit.ndjson'],
    json: 'none',
  })
    .option('-o, --output <file>', 'a new file, instead of standard output')
    .action(exportLog);
}

async function listRecords({ limit, ...options }: ListOptions): Promise<void> {
  const count = Number(limit);
  if (!Number.isInteger(count) || count < 1) throw new UsageError(`--limit ${limit}: expected a number from 1 on`);
  const client = await connect(options);
  const { agent, actor, verb, resource, result, since, until } = options;
  const agentId = agent === undefined ? undefined : (await client.getAgent(agent)).id;
  const query = { agent: agentId, actor, verb, resource, result, since, until, limit: count };
  const records = await Array.fromAsync(client.audit.list(query));
  printAll(records, options, () => table(COLUMNS, records));
}

async function verify(options: VerifyOptions): Promise<void> {
  const { file, key } = options;
  if (key !== undefined && file === undefined) throw new UsageError('--key goes with --file');
  const anchor = options.expect === undefined ? undefined : parseAnchor(options.expect);
  const anchors = anchor === undefined ? [] : [anchor];
  if (file === undefined) return tell(await (await connect(options)).audit.verify(anchor), options);
  const report = await verifyAuditFile(file, { key, anchors });
  tell(report, options);
  if (key === undefined && options.json !== true) {
    note(`the key ${report.public_key} is the file's own word: give --key to be sure whose signatures these are`);
  }
}

function tell(report: AuditReport, options: JsonOption): void {
  print(report, options, reportText);
  if (!report.ok) process.exitCode = ExitCode.RemoteFailed;
}

async function exportLog({ output, ...options }: AccessOptions & { readonly output?: string }): Promise<void> {
  const chunks = (await connect(options)).audit.export();
  if (output === undefined) {
    for await (const chunk of chunks) await write(process.stdout, chunk);
    return;
  }
  // The file is made when there is something to put into it.
  const first = await chunks.next();
  try {
    // Never over a file that is there: it may be the export one compares with.
    await pipeline(Readable.from(continued(first, chunks)), createWriteStream(output, { flags: 'wx', mode: 0o600 }));
  } catch (cause) {
    if (!(cause instanceof Error && 'syscall' in cause)) throw cause;
    throw new UsageError(`${output} cannot be written: ${cause.message}`, { cause });
  }
  note(`written to ${output}; check it with: drawbridge audit verify --file ${output}`);
}

async function* continued<T>(first: IteratorResult<T>, rest: AsyncGenerator<T>): AsyncGenerator<T> {
  if (first.done !== true) yield first.value;
  yield* rest;
}

function parseAnchor(text: string): AuditAnchor {
  const parsed = AuditAnchorText.safeParse(text);
  if (!parsed.success) throw new UsageError(`--expect ${text}: expected <seq>:<SHA-256 in hex>`);
  return parsed.data;
}

function reportText(report: AuditReport): string {
  const { ok, records, checkpoints, first, last, last_hash: lastHash, problems, problems_total: total } = report;
  const what = `${records} records${first === null ? '' : ` (${first} to ${last ?? first})`}, ${checkpoints} checkpoints`;
  if (ok) return line(`intact: ${what}`) + (last === null ? '' : line(`newest: ${last}:${lastHash ?? ''}`));
  const more = total > problems.length ? line(`… and ${total - problems.length} more`) : '';
  return line(`NOT intact: ${total} problems in ${what}`) + table(PROBLEM_COLUMNS, problems) + more;
}

const RESULT_COLOURS = { allowed: 'green', denied: 'red', failed: 'yellow' } as const satisfies Record<
  AuditResult,
  Colour
>;

const COLUMNS: readonly Column<AuditRecord>[] = [
  { header: 'SEQ', cell: ({ seq }) => String(seq), isWhole: true },
  { header: 'AT', cell: ({ at }) => at },
  { header: 'WHO', cell: ({ actor, actor_name: name }) => name ?? actor },
  { header: 'VERB', cell: ({ verb }) => verb },
  { header: 'ON', cell: ({ resource }) => resource ?? '' },
  { header: 'FROM', cell: ({ address }) => address ?? '' },
  { header: 'RESULT', cell: ({ result }) => result, colour: ({ result }) => RESULT_COLOURS[result] },
  { header: 'REASON', cell: ({ reason }) => reason ?? '' },
];

const PROBLEM_COLUMNS: readonly Column<AuditReport['problems'][number]>[] = [
  { header: 'SEQ', cell: ({ seq }) => String(seq), isWhole: true },
  { header: 'KIND', cell: ({ kind }) => kind, colour: () => 'red', isWhole: true },
  { header: 'WHAT', cell: ({ message }) => message, isWhole: true },
];
