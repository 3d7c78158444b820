import { describe, expect, it } from 'vitest';
import { answerHeaders, handshakeHeaders, requestHeaders, trailers } from './header-rules.ts';

const FROM = { address: '192.0.2.1', host: 'control.example.com', protocol: 'https' } as const;
const ADDED = ['X-Forwarded-Proto', 'https', 'X-Forwarded-Host', 'control.example.com', 'X-Forwarded-For', '192.0.2.1'];

function forService(rawHeaders: readonly string[], method = 'GET') {
  const [host, address, ...rest] = requestHeaders({ method, rawHeaders }, FROM, { port: 8080 });
  expect([host, address]).toEqual(['Host', '127.0.0.1:8080']);
  return rest;
}

describe('of a request', () => {
  it.each([
    ['what is the client’s own, repetitions too', ['A', '1', 'b', '2', 'a', '3'], ['A', '1', 'b', '2', 'a', '3']],
    ['credentials of an endpoint', ['OpenSandbox-Secure-Access', 'x'], ['OpenSandbox-Secure-Access', 'x']],
  ])('%s is kept in its order', (_what, given, kept) => {
    expect(forService(given)).toEqual([...kept, ...ADDED]);
  });

  it.each([
    'Host',
    'AUTHORIZATION',
    'Cookie',
    'Open-Sandbox-Api-Key',
    'Connection',
    'Keep-Alive',
    'Proxy-Authenticate',
    'Proxy-Authorization',
    'Proxy-Connection',
    'TE',
    'Trailer',
    'Upgrade',
  ])('%s is dropped, however often it comes', (name) => {
    expect(forService([name, 'x', 'A', '1', name.toLowerCase(), 'y'])).toEqual(['A', '1', ...ADDED]);
  });

  it('what Connection names is dropped, even what somebody would have liked to get rid of', () => {
    const given = [
      'X-A',
      '1',
      'connection',
      'close, X-A',
      'Connection',
      'x-b,,X-Forwarded-For',
      'x-B',
      '2',
      'X-Forwarded-For',
      '8.8.8.8',
    ];
    expect(forService(given)).toEqual(ADDED);
  });

  it('what an earlier proxy has said of the client stays as it is', () => {
    const given = ['x-forwarded-for', '10.0.0.1', 'X-FORWARDED-PROTO', 'http'];
    expect(forService(given)).toEqual([...given, 'X-Forwarded-Host', 'control.example.com']);
  });

  it.each([
    ['GET', [], []],
    ['DELETE', [], []],
    ['POST', [], ['Content-Length', '0']],
  ])('the length of a %s is said: %j', (method, given, length) => {
    expect(forService(given, method)).toEqual([...ADDED, ...length]);
  });

  it('the length stays, whoever names it in Connection: the body does', () => {
    const given = ['Connection', 'Content-Length', 'Content-Length', '5'];
    expect(forService(given, 'POST')).toEqual(['Content-Length', '5', ...ADDED]);
  });

  it('chunks are chunks again, with their trailers and without another length', () => {
    const given = ['Content-Length', '5', 'Transfer-Encoding', 'chunked', 'Trailer', 'X-Sum'];
    expect(forService(given, 'POST')).toEqual(['Trailer', 'X-Sum', ...ADDED, 'Transfer-Encoding', 'chunked']);
  });
});

describe('of a handshake', () => {
  it('what each leg says for itself is dropped, and repetitions are kept', () => {
    const given = [
      'X-A',
      '1',
      'x-a',
      '2',
      'Origin',
      'x',
      'Upgrade',
      'websocket',
      'Connection',
      'Upgrade, x-b',
      'x-b',
      '3',
    ];
    const own = ['Key', 'Version', 'Protocol', 'Extensions'].flatMap((name) => [`Sec-WebSocket-${name}`, 'x']);
    const kept = handshakeHeaders([...given, ...own, 'Authorization', 'x', 'Cookie', 'x', 'Content-Length', '0'], {
      port: 80,
    });
    expect(kept).toEqual({ host: ['127.0.0.1:80'], 'x-a': ['1', '2'] });
  });
});

describe('of an answer', () => {
  const forClient = (raw: readonly string[], isPage = false) => {
    const headers = answerHeaders(raw, { isPage, takesChunks: true });
    expect(headers.slice(-8, -4)).toEqual(['Content-Security-Policy', 'sandbox', 'X-Content-Type-Options', 'nosniff']);
    expect(headers.slice(-4)).toEqual(['Cache-Control', isPage ? 'no-store' : 'private', 'Vary', 'Authorization']);
    return headers.slice(0, -8);
  };

  it('cookies stay apart, policies and ranges stay', () => {
    const given = [
      'Set-Cookie',
      'a',
      'Set-Cookie',
      'b',
      'Content-Security-Policy',
      "default-src 'none'",
      'Content-Range',
      'bytes 0-1/2',
    ];
    expect(forClient(given)).toEqual(given);
  });

  it.each([
    'Connection',
    'Keep-Alive',
    'Transfer-Encoding',
    'Upgrade',
    'Proxy-Authenticate',
    'Clear-Site-Data',
    'Alt-Svc',
    'Service-Worker-Allowed',
  ])('%s is dropped', (name) => {
    expect(forClient([name, 'x', 'A', '1'])).toEqual(['A', '1']);
  });

  it('a page gets no cookie for the origin of the console', () => {
    expect(forClient(['Set-Cookie', 'a', 'WWW-Authenticate', 'Basic', 'A', '1'], true)).toEqual(['A', '1']);
  });

  it('nobody is told of trailers who gets no chunks', () => {
    const headers = answerHeaders(['Trailer', 'x', 'Transfer-Encoding', 'chunked'], {
      isPage: false,
      takesChunks: false,
    });
    expect(headers).not.toContain('Trailer');
  });

  it('a length is kept, unless there are chunks; a word about trailers only then', () => {
    expect(forClient(['Content-Length', '0', 'Trailer', 'x'])).toEqual(['Content-Length', '0']);
    expect(forClient(['Content-Length', '0', 'Trailer', 'x', 'Transfer-Encoding', 'chunked'])).toEqual([
      'Trailer',
      'x',
    ]);
  });
});

it('trailers say nothing that must be known before', () => {
  const given = [
    'X-Sum',
    '5',
    'content-length',
    '1',
    'Authorization',
    'x',
    'Host',
    'x',
    'Set-Cookie',
    'x',
    'Transfer-Encoding',
    'chunked',
    'X-Sum',
    '6',
  ];
  expect(trailers(given)).toEqual([
    ['X-Sum', '5'],
    ['X-Sum', '6'],
  ]);
});
