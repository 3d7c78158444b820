// Ends with 0 when the URL of the first argument answers 200. For a container's health check, so it knows only loopback.
import http from 'node:http';
import https from 'node:https';

const TIMEOUT_MS = 4000;

const url = new URL(process.argv[2] ?? 'http://127.0.0.1:7400/readyz');
if (!['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname)) {
  process.stderr.write(`${url.hostname} is not loopback\n`);
  process.exit(2);
}
const { get } = url.protocol === 'https:' ? https : http;

// Who answers on loopback is ourselves: the certificate is made out to another name.
const options = { rejectUnauthorized: false, signal: AbortSignal.timeout(TIMEOUT_MS) };
get(url, options, (answer) => {
  if (answer.statusCode !== 200) process.stderr.write(`${url.href} answers ${answer.statusCode}\n`);
  process.exit(answer.statusCode === 200 ? 0 : 1);
}).on('error', (error) => {
  process.stderr.write(`${url.href}: ${error.message}\n`);
  process.exit(1);
});
