import type { MessageSocket, SocketEnd, SocketListener } from './socket.ts';

/** A socket closed before it brought a single message. */
export class ClosedEarlyError extends Error {
  override readonly name = 'ClosedEarlyError';
  readonly end: SocketEnd;

  constructor(end: SocketEnd) {
    super(`closed with ${end.code}${end.reason === '' ? '' : ` (${end.reason})`} before the first message`);
    this.end = end;
  }
}

/** A socket split in two: the first message it brings, and the same socket for whoever listens to the rest. */
export interface FirstMessage {
  /** Rejects with ClosedEarlyError when the socket closes before any message. */
  readonly message: Promise<string | Uint8Array>;
  readonly rest: MessageSocket;
}

/** Takes the first message of a socket. Nothing more is read from the network until `rest` has a listener. */
export function firstMessage(socket: MessageSocket): FirstMessage {
  const { promise, resolve, reject } = Promise.withResolvers<string | Uint8Array>();
  const early: (string | Uint8Array)[] = [];
  let isFirst = true;
  let end: SocketEnd | undefined;
  let listener: SocketListener | undefined;
  socket.listen({
    message(message) {
      if (isFirst) {
        isFirst = false;
        socket.pause();
        resolve(message);
      } else if (listener === undefined) early.push(message);
      else listener.message(message);
    },
    alive: () => listener?.alive?.(),
    drained: () => listener?.drained?.(),
    closed(how) {
      end = how;
      reject(new ClosedEarlyError(how));
      listener?.closed(how);
    },
  });
  promise.catch(() => undefined);
  const rest: MessageSocket = {
    get bufferedBytes() {
      return socket.bufferedBytes;
    },
    send: (message) => socket.send(message),
    ...(socket.sendParts && { sendParts: (header, payload) => socket.sendParts?.(header, payload) }),
    close: (code, reason) => socket.close(code, reason),
    terminate: () => socket.terminate(),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    listen(next) {
      listener = next;
      for (const message of early.splice(0)) next.message(message);
      if (end === undefined) socket.resume();
      else next.closed(end);
    },
  };
  return { message: promise, rest };
}
