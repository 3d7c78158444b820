const NEWLINE = 10;

/**
 * The lines of a stream of bytes, without their ends. What follows the last end is a line too, unless it is empty. Throws what
 * `tooLong` makes when a line has more than `bytesMax` bytes: no more than that is ever held.
 */
export async function* byteLines(
  source: AsyncIterable<Uint8Array>,
  bytesMax: number,
  tooLong: () => Error,
): AsyncGenerator<Buffer> {
  let parts: Uint8Array[] = [];
  let held = 0;
  const hold = (part: Uint8Array): void => {
    held += part.byteLength;
    if (held > bytesMax) throw tooLong();
    parts.push(part);
  };
  for await (const chunk of source) {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      hold(chunk.subarray(from, end));
      from = end + 1;
      yield Buffer.concat(parts);
      parts = [];
      held = 0;
    }
    if (from < chunk.byteLength) hold(chunk.subarray(from));
  }
  if (held > 0) yield Buffer.concat(parts);
}
