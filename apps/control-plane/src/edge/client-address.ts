/**
 * Where a connection comes from: the address of the socket, or, as far as proxies we trust say so, the one they name. The
 * header is read from its end: what stands left of an address we do not trust was written by a stranger.
 */
export function clientAddress(
  socketAddress: string,
  forwardedFor: string | undefined,
  isTrusted: (address: string) => boolean,
): string {
  const hops = (forwardedFor ?? '')
    .split(',')
    .map((hop) => hop.trim())
    .filter((hop) => hop !== '');
  let address = socketAddress;
  while (isTrusted(address)) {
    const before = hops.pop();
    if (before === undefined) return address;
    address = before;
  }
  return address;
}
