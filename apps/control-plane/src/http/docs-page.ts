import { z } from 'zod';

const Parameter = z.object({
  name: z.string(),
  in: z.string(),
  required: z.boolean().optional(),
  description: z.string().optional(),
  schema: z.unknown(),
});
const Content = z.object({ content: z.record(z.string(), z.object({ schema: z.unknown() })).optional() });
const Operation = z.object({
  operationId: z.string(),
  summary: z.string().optional(),
  description: z.string().optional(),
  tags: z.array(z.string()),
  parameters: z.array(Parameter).optional(),
  requestBody: Content.optional(),
  responses: z.record(z.string(), Content.extend({ description: z.string().optional() })),
});
type Operation = z.infer<typeof Operation>;
const Document = z.object({
  info: z.object({ title: z.string(), version: z.string(), description: z.string() }),
  paths: z.record(z.string(), z.record(z.string(), Operation)),
});

interface Entry extends Operation {
  readonly method: string;
  readonly path: string;
}

/** The OpenAPI document as one page of HTML, without a script. */
export function docsPage(document: unknown): string {
  const { info, paths } = Document.parse(document);
  const entries = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ ...operation, method: method.toUpperCase(), path })),
  );
  const byTag = Map.groupBy(entries, (entry) => entry.tags[0] ?? '');
  const tags = [...byTag.keys()].toSorted();
  const links = tags.map((tag) => `<a href="#${escape(tag)}">${escape(tag)}</a>`).join(' ');
  const sections = tags.map((tag) => section(tag, byTag.get(tag) ?? [])).join('');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(info.title)} API</title>
<link rel="stylesheet" href="/page.css">
</head>
<body class="docs">
<header><h1>${escape(info.title)} API ${escape(info.version)}</h1><a href="/openapi.json">openapi.json</a></header>
<p>${escape(info.description)} Errors are <code>{"code","message","request_id","details"?}</code>.</p>
<nav>${links}</nav>
${sections}
</body>
</html>
`;
}

function section(tag: string, entries: readonly Entry[]): string {
  return `<h2 id="${escape(tag)}">${escape(tag)}</h2>${entries.map(operation).join('')}`;
}

function operation(entry: Entry): string {
  const answers = Object.entries(entry.responses)
    .filter(([status]) => status !== 'default')
    .map(([status, answer]) => `<h4>${escape(status)}</h4>${schemaOf(answer)}`)
    .join('');
  const body = entry.requestBody === undefined ? '' : `<h4>Body</h4>${schemaOf(entry.requestBody)}`;
  return `<details id="${escape(entry.operationId)}"><summary><code class="method ${escape(entry.method)}">${escape(
    entry.method,
  )}</code> <code>${escape(entry.path)}</code> ${escape(entry.summary ?? '')}</summary>
<p>${marked(entry.description ?? '')}</p>${parameters(entry.parameters ?? [])}${body}${answers}</details>`;
}

function parameters(all: readonly z.infer<typeof Parameter>[]): string {
  if (all.length === 0) return '';
  const rows = all.map(
    ({ name, in: place, required, description, schema }) =>
      `<tr><td><code>${escape(name)}</code></td><td>${escape(place)}${required === true ? ', needed' : ''}</td><td>${escape(
        description ?? '',
      )}</td><td><code>${escape(JSON.stringify(schema))}</code></td></tr>`,
  );
  return `<table><thead><tr><th>Parameter</th><th>In</th><th></th><th>Schema</th></tr></thead><tbody>${rows.join(
    '',
  )}</tbody></table>`;
}

function schemaOf({ content }: z.infer<typeof Content>): string {
  const [first] = Object.values(content ?? {});
  if (first === undefined) return '<p class="quiet">nothing</p>';
  return `<pre>${escape(JSON.stringify(first.schema, undefined, 2))}</pre>`;
}

/** Escaped, and what stands between backticks as code. */
function marked(text: string): string {
  return escape(text).replaceAll(/`([^`]+)`/g, '<code>$1</code>');
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
