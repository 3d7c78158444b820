import { DialError } from './dial-error.ts';

/** The address as a URL. The text may hold a secret: the error does not repeat it. */
export function parseUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null) throw new DialError('refused', 'the address is not a URL');
  return url;
}
