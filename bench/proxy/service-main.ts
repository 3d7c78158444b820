// A web service: a few bytes at `/`, and at `/large?bytes=N` as many as are asked for. Started by the bench `proxy`.
import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { listeningPort } from '@drawbridge/testkit';

const CHUNK = Buffer.alloc(65_536, 'x');

const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://service');
  if (pathname !== '/large') {
    response.end('hello');
    return;
  }
  const bytes = Number(searchParams.get('bytes'));
  response.writeHead(200, { 'content-length': bytes });
  pipeline(chunks(bytes), response).catch(() => undefined);
});
server.listen(0, '127.0.0.1', () => console.log(`ready ${listeningPort(server)}`));

function chunks(bytes: number): Readable {
  let leftBytes = bytes;
  return new Readable({
    read() {
      const chunk = CHUNK.subarray(0, leftBytes);
      leftBytes -= chunk.byteLength;
      this.push(chunk.byteLength === 0 ? null : chunk);
    },
  });
}
