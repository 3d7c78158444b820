import { eventually } from '@drawbridge/testkit';
import { describe, expect, it } from 'vitest';
import { ProxiedWorld } from './proxied-world-fixture.ts';

describe('a slow reader', () => {
  it('is waited for, and nobody else is', async () => {
    await using world = await ProxiedWorld.make();
    let writtenBytes = 0;
    const chunk = Buffer.alloc(65_536);
    const big = await world.serve((_request, response) => {
      const write = () => {
        while (writtenBytes < 200_000_000) {
          writtenBytes += chunk.byteLength;
          if (!response.write(chunk)) return void response.once('drain', write);
        }
        return void response.end();
      };
      write();
    });
    const quick = await world.serve((_request, response) => void response.end('quick'));
    const { response, outgoing } = await world.begin(world.pathOf(big));
    response.pause();
    // What is on the way fills up, and then nothing moves.
    let before = -1;
    let still = 0;
    await eventually(
      async () => {
        still = before === writtenBytes ? still + 1 : 0;
        before = writtenBytes;
        const { body } = await world.ask(world.pathOf(quick));
        return still === 5 && String(body) === 'quick';
      },
      { what: 'the service to be stopped', timeoutMs: 15_000 },
    );
    expect(writtenBytes).toBeLessThan(60_000_000);
    outgoing.on('error', () => undefined).destroy();
    response.on('error', () => undefined);
  });
});
