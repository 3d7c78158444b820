import { connect } from 'node:net';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { requires } from './requirement.ts';
import { TestPostgres } from './test-postgres.ts';

async function isListening(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

it.runIf(requires('linux', 'initdb'))(
  'runs until it is killed, again when it is started, and is gone at the end',
  async () => {
    let url = '';
    {
      await using postgres = await TestPostgres.start();
      ({ url } = postgres);
      expect(await isListening(url)).toBe(true);
      await postgres.kill9();
      expect(await isListening(url)).toBe(false);
      await postgres.launch();
      expect(await isListening(url)).toBe(true);
    }
    expect(await isListening(url)).toBe(false);
  },
  60_000,
);
