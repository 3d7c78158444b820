import { untilAborted } from '@drawbridge/link';
import type { Channel, ChannelOffer } from '@drawbridge/link';
import { CloseReason, SESSION_TAKEN_OVER, SessionControl } from '@drawbridge/protocol';
import type { SessionChannelAck, SessionChannelMetadata } from '@drawbridge/protocol';
import { AGENT_LIMITS } from '../limits.ts';
import type { Seat, Session } from './session.ts';

/**
 * Serves one `session` channel: the output from where it was asked for, then live, then CLOSE with the exit code; its input and CONTROL to
 * the session when it writes. Throws ControlError before it accepts; resolves when the channel is over.
 */
export async function attachViewer(
  session: Session,
  offer: ChannelOffer,
  request: SessionChannelMetadata,
): Promise<void> {
  const { since = session.output.startOffset, view, takeover, actor, attach_id: attachId } = request;
  const gone = new AbortController();
  let isEvicted = false;
  const evict = () => {
    isEvicted = true;
    gone.abort(new Error(SESSION_TAKEN_OVER));
  };
  using seat = session.attach({ actor, writes: !view, attachId, evict }, since, takeover);
  const { mode } = session.facts;
  const { cols, rows } = session.info();
  await using channel = offer.accept({
    offset: seat.offset,
    end: session.output.endOffset,
    mode,
    cols,
    rows,
  } satisfies SessionChannelAck);
  channel.ended.then((end) => gone.abort(new Error(end.reason))).catch(() => undefined);
  const listening = listen(session, seat, channel, gone.signal).catch(() => undefined);
  try {
    if (since !== seat.offset) await channel.control({ offset: seat.offset }, gone.signal);
    await pour(session, seat, channel, gone.signal);
    channel.close({ code: CloseReason.Ok, ...howItEnded(session) });
  } catch (error) {
    // Whoever left hears nothing any more.
    if (isEvicted) channel.close({ code: CloseReason.Cancelled, reason: SESSION_TAKEN_OVER });
    else if (!gone.signal.aborted) throw error;
  }
  await listening;
  // A goodbye leaves behind the last of the output, which the viewer may still have to take.
  await channel.ended;
}

/** The viewer's own place moves with what the channel takes: nobody else waits for it. */
async function pour(session: Session, seat: Seat, channel: Channel, signal: AbortSignal): Promise<void> {
  const { output } = session;
  for (;;) {
    signal.throwIfAborted();
    const { bytes, offset, stderr } = output.read(seat.offset, AGENT_LIMITS.sessionPartBytesMax);
    if (offset !== seat.offset) await channel.control({ offset }, signal);
    if (bytes.byteLength > 0) {
      await channel.send(bytes, { stderr }, signal);
      session.taken(seat, offset + bytes.byteLength);
    } else if (output.isOver) return;
    else await untilAborted(output.news(), signal);
  }
}

/** Carries what a writer sends, until the channel is over. A viewer's is read and dropped. */
async function listen(session: Session, seat: Seat, channel: Channel, gone: AbortSignal): Promise<void> {
  for await (const item of channel) {
    if (!session.isWriter(seat)) continue;
    // Whoever has left waits for nobody: what the session has not taken yet it still gets.
    if (item.kind === 'data') await untilAborted(session.write(item.bytes), gone);
    else if (item.kind === 'fin') session.endInput();
    else {
      // What this version does not know changes nothing.
      const control = SessionControl.safeParse(item.value);
      if (!control.success) continue;
      if ('signal' in control.data) session.signal(control.data.signal);
      else session.resize(control.data);
    }
  }
}

function howItEnded({ exit }: Session): { reason: string; exit_code?: number } {
  if (exit?.code !== undefined) return { reason: 'exited', exit_code: exit.code };
  return { reason: exit?.signal ?? 'exited' };
}
