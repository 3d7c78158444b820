import { joinChannels } from '@drawbridge/link';
import { SessionChannelMetadata, firstIssue } from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import { errorPayload } from '../link/agent-link.ts';
import type { ChannelServer } from '../tunnels/agent-tunnels.ts';
import type { HostClient } from './host-client.ts';

/** Serves `session` channels: joins each to the session host, which knows what to say. */
export function sessionChannel(host: Pick<HostClient, 'attach'>, log: Logger): ChannelServer {
  return (offer, tunnelId, operator) => {
    const parsed = SessionChannelMetadata.safeParse(offer.metadata);
    if (!parsed.success) return offer.refuse('invalid_request', firstIssue(parsed.error));
    const actor = operator ?? parsed.data.actor;
    const { session_id: sessionId, view, takeover } = parsed.data;
    host
      .attach({ ...parsed.data, actor }, offer.signal)
      .then(async (inner) => {
        log.info({ sessionId, tunnelId, channelId: offer.id, view, takeover, actor }, 'attached to a session');
        await using _closed = inner;
        await joinChannels(offer.accept(inner.metadata), inner);
        const { code, reason } = await inner.ended;
        log.info({ sessionId, tunnelId, channelId: offer.id, code, reason }, 'detached from a session');
      })
      .catch((error: unknown) => {
        if (offer.signal.aborted) return;
        const { code, message } = errorPayload(error);
        offer.refuse(code, message);
      });
  };
}
