import { writeFile } from 'node:fs/promises';
import { TempDir, TestProcess, findProgram } from '@drawbridge/testkit';
import { freePort } from '../tunnel/free-port.ts';
import { untilReached } from '../tunnel/until-reached.ts';

/** A running nginx, and where it is. */
export interface Nginx extends AsyncDisposable {
  readonly url: string;
}

/** nginx as a plain reverse proxy to that port, one worker and no buffers on disk; undefined where there is none. */
export async function startNginx(toPort: number): Promise<Nginx | undefined> {
  const command = findProgram('nginx');
  if (command === undefined) return undefined;
  await using ownership = new AsyncDisposableStack();
  const dir = ownership.use(await TempDir.make('drawbridge-nginx-'));
  const port = await freePort();
  const file = dir.join('nginx.conf');
  await writeFile(file, configOf(dir.path, port, toPort));
  ownership.use(
    await TestProcess.start({ command, args: ['-p', dir.path, '-c', file, '-e', 'stderr'], env: process.env }),
  );
  await untilReached(port);
  const owned = ownership.move();
  return { url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function configOf(dir: string, port: number, toPort: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${dir}/${name};`,
  );
  return `daemon off; master_process off; worker_processes 1; pid ${dir}/pid; error_log stderr;
events { worker_connections 1024; }
http {
  access_log off; ${temporary.join(' ')}
  upstream service { server 127.0.0.1:${toPort}; keepalive 16; }
  server {
    listen 127.0.0.1:${port}; keepalive_requests 1000000;
    location / { proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_max_temp_file_size 0; }
  }
}
`;
}
