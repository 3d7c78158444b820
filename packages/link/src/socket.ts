/** How a socket ended: the close frame's code and reason, or 1006 when there was none. */
export interface SocketEnd {
  readonly code: number;
  readonly reason: string;
  readonly error?: Error;
}

/** Who hears what a socket says. Calls arrive in order; `closed` is the last one and comes exactly once. */
export interface SocketListener {
  message(message: string | Uint8Array): void;
  /** Bytes of any kind arrived, a ping included: the peer lives. */
  alive?(): void;
  /** `bufferedBytes` fell to nothing after something was sent. */
  drained?(): void;
  closed(end: SocketEnd): void;
}

/**
 * One ordered, message-preserving connection: a WebSocket, or a pair in memory. Sending on a closed socket does nothing;
 * its listener has been, or is about to be, told.
 */
export interface MessageSocket {
  /** Bytes accepted by `send` that the network has not taken yet. */
  readonly bufferedBytes: number;
  /** A string is sent as a text message, bytes as a binary one. The bytes belong to the socket from here on. */
  send(message: string | Uint8Array): void;
  /**
   * Sends one binary message made of two parts, where that saves joining them first. Neither is changed, nor looked at again once
   * this returns: the sender may keep them to send them again.
   */
  sendParts?(header: Uint8Array, payload: Uint8Array): void;
  /** Says goodbye with a close frame. `listener.closed` follows, at the latest when the peer's time to answer is over. */
  close(code: number, reason: string): void;
  /** Drops the connection now, without a word. `listener.closed` follows. */
  terminate(): void;
  /** Stops, and goes on with, reading from the network. */
  pause(): void;
  resume(): void;
  /** Called once; what arrived before is delivered first. */
  listen(listener: SocketListener): void;
}
