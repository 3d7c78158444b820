import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import { withTimeout } from '@drawbridge/link';
import type { Clock } from '@drawbridge/link';

/** A refusal of ours is shorter; of a longer one nothing is shown. */
const REFUSAL_BYTES_MAX = 4_096;
const MESSAGE_CHARACTERS_MAX = 300;
/** The status alone is worth having: its reason is not waited for longer. */
const REFUSAL_MS = 500;

const Refusal = z.object({ message: z.string() });

/**
 * Why a server refused, in its own words, fit for one line of a log; empty when it does not say so at once. Never rejects.
 */
export async function refusalOf(response: IncomingMessage, clock: Clock): Promise<string> {
  const tooSlow = () => new Error('the refusal takes too long');
  return withTimeout(clock, REFUSAL_MS, read(response), tooSlow).catch(() => '');
}

async function read(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let lengthBytes = 0;
  try {
    for await (const chunk of response) {
      const bytes = Buffer.from(chunk);
      chunks.push(bytes);
      lengthBytes += bytes.byteLength;
      if (lengthBytes > REFUSAL_BYTES_MAX) return '';
    }
    const { message } = Refusal.parse(JSON.parse(Buffer.concat(chunks).toString()));
    return message.replaceAll(/[^ -~]+/g, ' ').slice(0, MESSAGE_CHARACTERS_MAX);
  } catch {
    // Cut off, or not in our words: a proxy's page.
    return '';
  }
}
