import { Client, type ClientOptions } from './client.ts';
import { heartbeat } from './heartbeat.ts';

/** A client of the reference server: served when its first message came back, then as talkative as an agent. */
export class EchoClient extends Client {
  protected override readonly beatIntervalMs: number;

  constructor(options: ClientOptions, beatIntervalMs: number) {
    super(options);
    this.beatIntervalMs = beatIntervalMs;
  }

  protected override request() {
    return { path: '/', protocol: 'echo', headers: {} };
  }

  /** The server greets; what it echoes after that is the answer. */
  protected override receive(text: string): boolean {
    if (text !== 'hello') return true;
    this.send('hi');
    return false;
  }

  protected override beat(): string {
    return heartbeat();
  }
}
