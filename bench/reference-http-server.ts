// What the API is compared with: a bare Fastify with one route, for every path, that answers with what it was given. Started
// by `api`. usage: reference-http-server.ts ANSWER_FILE
import { readFileSync } from 'node:fs';
import fastify from 'fastify';

const [answerFile = ''] = process.argv.slice(2);
const answer: { readonly headers: Record<string, string>; readonly body: unknown } = JSON.parse(
  readFileSync(answerFile, 'utf8'),
);
const app = fastify();
app.route({
  method: ['GET', 'POST'],
  url: '/*',
  handler: (_request, reply) => reply.headers(answer.headers).send(answer.body),
});
const url = await app.listen({ host: '127.0.0.1', port: 0 });
console.log(`ready ${url}`);
