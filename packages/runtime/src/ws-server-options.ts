import { LIMITS, LINK_SUBPROTOCOL, TUNNEL_SUBPROTOCOL } from '@drawbridge/protocol';
import type { ClientOptions, ServerOptions } from 'ws';

/** The kinds of WebSocket a control plane serves (PROTOCOL.md §1). */
export type WsKind = 'link' | 'tunnel';

const KINDS = {
  link: { subprotocol: LINK_SUBPROTOCOL, maxPayload: LIMITS.messageBytesMax },
  tunnel: { subprotocol: TUNNEL_SUBPROTOCOL, maxPayload: LIMITS.frameHeaderBytes + LIMITS.framePayloadBytesMax },
} as const satisfies Record<WsKind, { subprotocol: string; maxPayload: number }>;

/** An honest message comes in pieces of at least this size on average; smaller ones are an attack on memory. */
const PIECE_BYTES_MIN = 64;

/** The bounds of every WebSocket of ours, on either end. Compression is off: it costs memory, and leaks secrets by length. */
export function wsLimits(maxPayloadBytes: number) {
  const piecesMax = Math.ceil(maxPayloadBytes / PIECE_BYTES_MIN);
  return {
    maxPayload: maxPayloadBytes,
    maxFragments: piecesMax,
    maxBufferedChunks: piecesMax,
    perMessageDeflate: false,
    skipUTF8Validation: false,
  } as const satisfies ClientOptions & ServerOptions;
}

/** The options of every WebSocketServer of ours: the HTTP server is the caller's, and so are the sockets. */
export function wsServerOptions(kind: WsKind): ServerOptions {
  const { subprotocol, maxPayload } = KINDS[kind];
  return {
    ...wsLimits(maxPayload),
    noServer: true,
    clientTracking: false,
    handleProtocols: (offered) => (offered.has(subprotocol) ? subprotocol : false),
  };
}
