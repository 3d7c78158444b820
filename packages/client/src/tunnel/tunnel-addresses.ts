/**
 * Where an operator's end may be dialled, the best first: under the address that the caller uses itself, because that one works for
 * it; then where the control plane says. What is encrypted there is never dialled in the clear here.
 */
export function tunnelAddresses(url: string | undefined, operatorUrl: string): readonly string[] {
  if (url === undefined) return [operatorUrl];
  const own = new URL(new URL(operatorUrl).pathname, url).href.replace(/^http/, 'ws');
  const isDowngrade = own.startsWith('wss:') && !operatorUrl.startsWith('wss:');
  return own === operatorUrl || isDowngrade ? [own] : [own, operatorUrl];
}
