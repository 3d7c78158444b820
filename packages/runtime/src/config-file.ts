import { readFileSync } from 'node:fs';
import { LineCounter, parseDocument } from 'yaml';
import { type ConfigIssue, configError } from './config-issue.ts';
import { type Tree, isTree } from './deep.ts';

/** Expanding aliases further than this is an attack, not a configuration. */
const ALIASES_MAX = 100;

/** The tree in a YAML file; an empty file is an empty tree. Throws the ControlError that lists what is wrong with it. */
export function readConfigFile(file: string): Tree {
  const lines = new LineCounter();
  const document = parseDocument(readText(file), { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const issues = document.errors.map((error): ConfigIssue => {
    const { line, col } = lines.linePos(error.pos[0]);
    return { source: `${file}:${line}:${col}`, key: '', reason: error.message };
  });
  if (issues.length > 0) throw configError(issues);
  const tree = toValue(document, file) ?? {};
  if (!isTree(tree)) throw configError([{ source: file, key: '', reason: 'expected keys and values at the top' }]);
  return tree;
}

function toValue(document: ReturnType<typeof parseDocument>, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: ALIASES_MAX });
  } catch (error) {
    throw configError([{ source: file, key: '', reason: String(error) }]);
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw configError([{ source: file, key: '', reason: `cannot be read: ${String(error)}` }]);
  }
}
