import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { parseSandboxPath } from './sandbox-path.ts';

/** `Expect: 100-continue` is answered at once, as Node does it, unless it is for a service: then the service says whether to go on. */
export function askToContinue(server: Server): void {
  server.on('checkContinue', (request: IncomingMessage, reply: ServerResponse) => {
    if (parseSandboxPath(request.url ?? '') === undefined) reply.writeContinue();
    server.emit('request', request, reply);
  });
}
