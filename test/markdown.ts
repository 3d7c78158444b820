/** A fenced block, with the comment `<!-- … -->` on the line before it. */
export interface Block {
  readonly language: string;
  readonly note: string;
  readonly text: string;
}

/** Every fenced block of a page. */
export function blocksOf(markdown: string): Block[] {
  const pattern = /(?:^<!-- (.+?) -->\n+)?^```([a-z]*)\n([\s\S]*?)^```$/gm;
  return Array.from(markdown.matchAll(pattern), ([, note = '', language = '', text = '']) => ({
    language,
    note,
    text,
  }));
}

/** The commands of a shell block as words: pipelines are split, quotes hold a word together and stay, comments are left out. */
export function commandsOf({ text }: Block): string[][] {
  const parts = text.split('\n').flatMap((line) => splitOutsideQuotes(line.replace(/(^|\s)#.*$/, ''), '|'));
  return parts.map((part) => splitOutsideQuotes(part, ' ')).filter((words) => words.length > 0);
}

function splitOutsideQuotes(line: string, separator: string): string[] {
  const parts = [''];
  let quote = '';
  for (const character of line) {
    if (quote === '' && character === separator) {
      parts.push('');
      continue;
    }
    if (character === quote) quote = '';
    else if (quote === '' && (character === "'" || character === '"')) quote = character;
    parts[parts.length - 1] += character;
  }
  return parts.map((part) => part.trim()).filter((part) => part !== '');
}

/** The relative targets of a page's links and images; what its code says is no link. */
export function linksOf(markdown: string): string[] {
  const prose = markdown.replaceAll(/^```[\s\S]*?^```$/gm, '').replaceAll(/`[^`\n]*`/g, '');
  const targets = Array.from(prose.matchAll(/\]\(([^)\s]+)\)/g), ([, target = '']) => target);
  return targets.filter((target) => !/^[a-z]+:/.test(target));
}

/** What `#…` can name on a page: its headings, the way GitHub spells them. */
export function slugsOf(markdown: string): string[] {
  return Array.from(markdown.matchAll(/^#+ (.+)$/gm), ([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
