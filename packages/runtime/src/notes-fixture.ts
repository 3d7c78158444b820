import type { SocketEnd, SocketListener } from '@drawbridge/link';

/** For tests: writes down what a socket says. */
export class Notes implements SocketListener {
  readonly messages: (string | Uint8Array)[] = [];
  readonly ends: SocketEnd[] = [];
  lives = 0;
  drains = 0;
  message(message: string | Uint8Array): void {
    this.messages.push(message);
  }
  alive(): void {
    this.lives += 1;
  }
  drained(): void {
    this.drains += 1;
  }
  closed(end: SocketEnd): void {
    this.ends.push(end);
  }
}
