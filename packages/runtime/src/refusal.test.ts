import { createServer } from 'node:http';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { DialHarness } from './dial-fixture.ts';

let harness: DialHarness;
beforeEach(() => {
  harness = new DialHarness();
});
afterEach(() => harness[Symbol.asyncDispose]());

it.each([
  ['{"code":"forbidden","message":"no, said the server"}', ': no, said the server'],
  ['{"message":"\\u001b[31mred\\nnext line"}', ':  [31mred next line'],
  [JSON.stringify({ message: 'x'.repeat(1_000) }), `: ${'x'.repeat(300)}`],
  [JSON.stringify({ message: 'no', more: 'x'.repeat(10_000) }), ''],
  ['<html>a proxy</html>', ''],
  ['{"code":"forbidden"}', ''],
  ['', ''],
])('repeats what a server says when it refuses: %j', async (body, said) => {
  const port = await harness.listen(createServer((_request, response) => response.writeHead(403).end(body)));
  const error = await harness.failure(`ws://127.0.0.1:${port}`);
  expect(error).toMatchObject({ kind: 'http', httpStatus: 403, message: `127.0.0.1:${port} answered 403${said}` });
});

it('does not wait for the end of an answer that never comes', async () => {
  const port = await harness.listen(createServer((_request, response) => response.writeHead(403).write('{')));
  const error = await harness.failure(`ws://127.0.0.1:${port}`, { timeoutMs: 60_000 });
  expect(error).toMatchObject({ httpStatus: 403, message: `127.0.0.1:${port} answered 403` });
});
