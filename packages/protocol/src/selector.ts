import { ControlError } from './errors.ts';
import { LabelText } from './ids.ts';
import type { Labels } from './ids.ts';

/** One condition on an agent's labels. */
export type LabelCondition =
  | { readonly kind: 'equals' | 'differs'; readonly key: string; readonly value: string }
  | { readonly kind: 'present' | 'absent'; readonly key: string };

/** Conditions that all have to hold; none: every agent. */
export type Selector = readonly LabelCondition[];

/** Selects every agent. */
export const EVERY_AGENT: Selector = [];

const CONDITIONS_MAX = 32;

/** Reads `k=v`, `k!=v`, `k` and `!k`, joined by commas. Throws ControlError `invalid_request` naming what it cannot read. */
export function parseSelector(text: string): Selector {
  if (text.trim() === '') return EVERY_AGENT;
  const parts = text.split(',');
  if (parts.length > CONDITIONS_MAX) {
    throw new ControlError('invalid_request', `a selector has at most ${CONDITIONS_MAX} conditions`);
  }
  return parts.map((part) => parseCondition(part.trim()));
}

/** The selector as text that `parseSelector` reads again. */
export function formatSelector(selector: Selector): string {
  return selector
    .map((condition) => {
      switch (condition.kind) {
        case 'equals':
          return `${condition.key}=${condition.value}`;
        case 'differs':
          return `${condition.key}!=${condition.value}`;
        case 'present':
          return condition.key;
        default:
          return `!${condition.key}`;
      }
    })
    .join(',');
}

/** True when all conditions hold for these labels. A label that is not there differs from every value. */
export function selects(selector: Selector, labels: Labels): boolean {
  return selector.every((condition) => {
    const value = Object.hasOwn(labels, condition.key) ? labels[condition.key] : undefined;
    switch (condition.kind) {
      case 'equals':
        return value === condition.value;
      case 'differs':
        return value !== condition.value;
      case 'present':
        return value !== undefined;
      default:
        return value === undefined;
    }
  });
}

function parseCondition(text: string): LabelCondition {
  const differs = text.indexOf('!=');
  if (differs > 0) return compared('differs', text.slice(0, differs), text.slice(differs + 2), text);
  const equals = text.indexOf('=');
  if (equals > 0) return compared('equals', text.slice(0, equals), text.slice(equals + 1), text);
  const absent = text.startsWith('!');
  const key = absent ? text.slice(1) : text;
  return { kind: absent ? 'absent' : 'present', key: labelText(key, text) };
}

function compared(kind: 'equals' | 'differs', key: string, value: string, text: string): LabelCondition {
  return { kind, key: labelText(key, text), value: labelText(value, text) };
}

function labelText(part: string, text: string): string {
  if (LabelText.safeParse(part).success) return part;
  throw new ControlError(
    'invalid_request',
    `selector ${text.slice(0, 80)}: expected k=v, k!=v, k or !k, joined by commas`,
  );
}
