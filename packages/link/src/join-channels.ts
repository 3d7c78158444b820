import { CloseReason } from '@drawbridge/protocol';
import type { Channel } from './channel.ts';

/**
 * Carries all that two channels say between them, in order and with their credit; the end of one ends the other the same way.
 * Resolves when both are over; never rejects. From here on both are the join's.
 */
export async function joinChannels(one: Channel, other: Channel): Promise<void> {
  passFailureOn(one, other);
  passFailureOn(other, one);
  await Promise.all([carry(one, other), carry(other, one)]);
}

/** A failure does not wait for room: what was on its way is lost to both ends. */
function passFailureOn(from: Channel, to: Channel): void {
  from.ended
    .then((end) => {
      if (end.code !== CloseReason.Ok) to.close(end);
    })
    .catch(() => undefined);
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
