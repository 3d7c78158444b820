import { LIMITS } from '@drawbridge/protocol';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { wsServerOptions } from './ws-server-options.ts';

it.each([
  ['link', 256 * 1024],
  ['tunnel', 64 * 1024 + LIMITS.frameHeaderBytes],
] as const)('a %s takes messages of %i bytes and checks their text', (kind, bytes) => {
  const options = wsServerOptions(kind);
  expect(options).toMatchObject({
    maxPayload: bytes,
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    skipUTF8Validation: false,
  });
  // Bounds that are there, and that an honest peer with small packets stays below.
  expect(options.maxFragments).toBeGreaterThanOrEqual(bytes / 64);
  expect(options.maxBufferedChunks).toBeLessThan(bytes / 32);
});

it('speaks its own subprotocol and no other', () => {
  const choose = (offered: string[]) =>
    wsServerOptions('link').handleProtocols?.(new Set(offered), new IncomingMessage(new Socket()));
  expect(choose(['other', 'drawbridge.v1'])).toBe('drawbridge.v1');
  expect(choose(['drawbridge.tunnel.v1'])).toBe(false);
});
