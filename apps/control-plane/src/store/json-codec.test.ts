import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { jsonColumn } from './json-codec.ts';

const labels = jsonColumn('agents.labels', z.record(z.string(), z.string()));

it('decodes what it encodes', () => {
  const anything = jsonColumn('agents.anything', z.unknown());
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(JSON.stringify(anything.decode(anything.encode(value)))).toBe(JSON.stringify(value));
    }),
  );
  expect(labels.decode(labels.encode({ site: 'lab' }))).toEqual({ site: 'lab' });
});

it('applies the schema on the way out', () => {
  const withDefault = jsonColumn('agents.limits', z.object({ tasksMax: z.number().default(4) }));
  expect(withDefault.decode('{}')).toEqual({ tasksMax: 4 });
});

it('names the column and the place of a value that does not fit, and not the value', () => {
  expect(() => labels.decode('{"site":{"hunter2":1}}')).toThrow(
    'agents.labels: stored JSON does not fit its schema: site (invalid_type)',
  );
});

it('names the column of text that is not JSON, and not the text', () => {
  const decode = () => labels.decode('hunter2');
  expect(decode).toThrow('agents.labels: 7 characters that are not JSON');
  expect(decode).not.toThrow('hunter2');
});
