import type { Channel } from './channel.ts';

/**
 * Carries all that two channels say between them, in order and with their credit; the end of one ends the other the same way.
 * Resolves when both are over; never rejects. From here on both are the join's.
 */
export async function joinChannels(one: Channel, other: Channel): Promise<void> {
  await Promise.all([carry(one, other), carry(other, one)]);
}

async function carry(from: Channel, to: Channel): Promise<void> {
  try {
    for (;;) {
      const item = from.take() ?? (await from.read());
      if (item === undefined) break;
      if (item.kind === 'data') await to.send(item.bytes, { stderr: item.stderr });
      else if (item.kind === 'control') await to.control(item.value);
      else to.end();
    }
  } catch {
    // Nobody takes it any more.
    from.close(await to.ended);
    return;
  }
  to.close(await from.ended);
}
