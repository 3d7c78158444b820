import { parse } from 'yaml';
import { z } from 'zod';
import type { Path } from './deep.ts';

/** What is known about the value of a key before it is parsed: the JSON Schema of what may be written there. */
export type Shape = z.core.JSONSchema.BaseSchema;

/** The shape of what a configuration file may hold. */
export function shapeOf(schema: z.ZodType): Shape {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
}

/** The shape at `path`, or undefined for a key nobody knows. */
export function shapeAt(shape: Shape, path: Path): Shape | undefined {
  return path.reduce<Shape | undefined>((node, key) => node && childOf(node, String(key)), shape);
}

/** The keys of an object and what is under them; none for other shapes. */
export function propertiesOf(shape: Shape): readonly (readonly [key: string, shape: Shape])[] {
  return Object.entries(shape.properties ?? {}).flatMap(([key, child]) =>
    isShape(child) ? [[key, child] as const] : [],
  );
}

/** What is under each key of a record, whatever the key; undefined for other shapes. */
export function valuesOf(shape: Shape): Shape | undefined {
  return isShape(shape.additionalProperties) ? shape.additionalProperties : undefined;
}

/**
 * Text from an environment variable as the value its key wants: a number, a boolean, a list (`a, b`, or YAML in brackets), a
 * record (YAML in braces). Text that is none stays text, for the schema to refuse.
 */
export function convert(text: string, shape: Shape | undefined): unknown {
  const types = typesOf(shape);
  if (types.includes('string')) return text;
  if (types.some((type) => type === 'number' || type === 'integer')) {
    return text.trim() === '' || Number.isNaN(Number(text)) ? text : Number(text);
  }
  if (types.includes('array') && !text.trim().startsWith('[')) {
    return text.split(',').flatMap((item) => (item.trim() === '' ? [] : [convert(item.trim(), itemsOf(shape))]));
  }
  return parseYaml(text);
}

function childOf(shape: Shape, key: string): Shape | undefined {
  const child = shape.properties?.[key];
  return isShape(child) ? child : (valuesOf(shape) ?? itemsOf(shape));
}

function itemsOf(shape: Shape | undefined): Shape | undefined {
  return isShape(shape?.items) ? shape.items : undefined;
}

/** A union of literals and booleans has no type of its own; a variable may mean any of its members. */
function typesOf(shape: Shape | undefined): readonly string[] {
  if (shape?.type !== undefined) return [shape.type].flat();
  return (shape?.anyOf ?? []).flatMap((member) => (isShape(member) ? typesOf(member) : []));
}

function isShape(value: unknown): value is Shape {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseYaml(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return text;
  }
}
