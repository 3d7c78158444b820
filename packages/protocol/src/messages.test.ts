import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { decodeMessage, encodeMessage } from './envelope.ts';
import type { Envelope } from './envelope.ts';
import { AgentMessage } from './messages/agent.ts';
import { ServerMessage } from './messages/server.ts';

const SCHEMAS = { agent: AgentMessage, server: ServerMessage } as const;

const Message = z.custom<Envelope<string, Record<string, unknown>>>((value) => typeof value === 'object');
const Vector = z.strictObject({ name: z.string(), from: z.enum(['agent', 'server']), message: Message });
const { messages, invalid } = z
  .strictObject({ messages: z.array(Vector), invalid: z.array(Vector) })
  .parse(JSON.parse(readFileSync(new URL('../vectors/messages.json', import.meta.url), 'utf8')));

it.each(messages)('reads and writes the vector "$name" ($from) without loss', ({ from, message }) => {
  const text = encodeMessage(message);
  expect(decodeMessage<unknown>(SCHEMAS[from], text)).toEqual({ ok: true, message });
  expect(text).toBe(JSON.stringify(message));
});

it.each(invalid)('refuses the vector "$name"', ({ from, message }) => {
  expect(decodeMessage<unknown>(SCHEMAS[from], JSON.stringify(message))).toMatchObject({
    ok: false,
    ref: message.id.slice(0, 64),
  });
});

it.each(messages)('ignores a field it does not know in "$name" ($from)', ({ from, message }) => {
  const newer = { ...message, later: 1, payload: { ...message.payload, later: 1 } };
  expect(decodeMessage<unknown>(SCHEMAS[from], JSON.stringify(newer))).toEqual({ ok: true, message });
});

it.each(['agent', 'server'] as const)('has a vector for every message of the %s', (from) => {
  const types = SCHEMAS[from].options.map((option) => option.shape.type.value);
  const shown = new Set(messages.filter((vector) => vector.from === from).map(({ message }) => message.type));
  expect([...shown].toSorted()).toEqual(types.toSorted());
});
