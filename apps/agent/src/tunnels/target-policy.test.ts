import { TUNNEL_PROTOCOLS } from '@drawbridge/protocol';
import type { TunnelTarget } from '@drawbridge/protocol';
import { FakeClock } from '@drawbridge/testkit';
import { describe, expect, it } from 'vitest';
import { NameLookup } from './name-lookup.ts';
import { resolveTarget } from './resolve-target.ts';
import { NEVER_REACHED, REFUSED_ANSWERS, THIS_MACHINE } from './ssrf-corpus-fixture.ts';
import { parseHost } from './target-host.ts';
import { TargetPolicy } from './target-policy.ts';
import { whyNoTargetRule } from './target-rule.ts';

const EVERYTHING = ['*:*', '0.0.0.0/0', '::/0', '*.com', '169.254.169.254', 'unix:/run/a.sock'];

/** What a target leads to: addresses, or the code and the reason. */
async function ask(
  target: TunnelTarget,
  { allow = ['127.0.0.1:*'], deny = [] }: { allow?: string[]; deny?: string[] } = {},
  answers: readonly string[] = ['10.0.0.5'],
): Promise<{ to?: readonly unknown[]; code?: string; message?: string }> {
  const names = new NameLookup(() => Promise.resolve(answers), new FakeClock());
  const policy = new TargetPolicy({ allow, deny });
  try {
    return { to: await resolveTarget(target, { policy, names }, new AbortController().signal) };
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return { code, message };
  }
}

const port = 80;

it('has a corpus worth its name', () => {
  expect(new Set(NEVER_REACHED).size).toBe(NEVER_REACHED.length);
  expect(NEVER_REACHED.length).toBeGreaterThan(100);
  expect(Object.keys(TUNNEL_PROTOCOLS)).toContain('tcp');
});

it.each(NEVER_REACHED)('never reaches %j, though everything is allowed', async (host) => {
  // A spelling that were taken for a name would lead to an address that is allowed.
  const { to, code } = await ask({ host, port }, { allow: EVERYTHING });
  expect(to).toBeUndefined();
  expect(code).toMatch(/^(forbidden|invalid_request)$/);
});

it.each(THIS_MACHINE)('does not reach this machine as %j when only others are allowed', async (host) => {
  expect(await ask({ host, port }, { allow: ['10.0.0.0/8', '*.example.com'] })).toMatchObject({ code: 'forbidden' });
});

it.each(THIS_MACHINE)('does not reach this machine as %j when that is denied', async (host) => {
  const lists = { allow: ['*', '127.0.0.0/8', '::/0', '*.localhost', 'localhost'], deny: ['127.0.0.1:80'] };
  expect(await ask({ host, port }, lists)).toMatchObject({ code: 'forbidden' });
  expect(await ask({ host, port: 81 }, lists)).toHaveProperty('to');
});

it.each(REFUSED_ANSWERS)('dials no name that leads to %j, though the name is allowed', async (answer) => {
  const found = await ask({ host: 'db.example.com', port }, { allow: ['*', 'db.example.com', '*.com'] }, [answer]);
  expect(found).toMatchObject({ code: 'forbidden' });
  expect(found.message).toContain('db.example.com:80');
});

describe('the default', () => {
  it.each([
    ['127.0.0.1', ['127.0.0.1']],
    ['0x7f.1', ['127.0.0.1']],
    ['::ffff:127.0.0.1', ['127.0.0.1']],
    ['[::1]', ['::1']],
    ['localhost', ['127.0.0.1', '::1']],
    ['api.localhost', ['127.0.0.1', '::1']],
  ])('reaches this machine as %s', async (host, addresses) => {
    const to = addresses.map((address) => ({ address, port }));
    // Its own names are no resolver's business.
    expect(await ask({ host, port }, {}, ['10.6.6.6'])).toEqual({ to });
  });

  it.each([
    ['10.0.0.1', 'forbidden', '10.0.0.1:80 is not dialled: no entry of tunnels.allow fits'],
    ['127.0.0.2', 'forbidden', '127.0.0.2:80 is not dialled: no entry of tunnels.allow fits'],
    ['2001:DB8::1', 'forbidden', '[2001:db8::1]:80 is not dialled: no entry of tunnels.allow fits'],
    ['169.254.1.1', 'forbidden', '169.254.1.1:80 is not dialled: 169.254.0.0/16 is always refused'],
    ['db.Example.com.', 'forbidden', 'db.example.com:80 (10.0.0.5) is not dialled: no entry of tunnels.allow fits'],
    ['a\u202eb', 'invalid_request', 'host a?b: it holds a character that hosts do not have'],
  ])('says why it does not reach %j', async (host, code, message) => {
    expect(await ask({ host, port })).toEqual({ code, message });
  });

  it('asks no resolver about ports that nothing is allowed at', async () => {
    const names = new NameLookup(() => Promise.reject(new Error('asked')), new FakeClock());
    const policy = new TargetPolicy({ allow: ['10.0.0.0/8:22'], deny: [] });
    const found = resolveTarget({ host: 'a.test', port }, { policy, names }, new AbortController().signal);
    await expect(found).rejects.toMatchObject({ code: 'forbidden', message: expect.stringContaining('a.test:80') });
  });
});

describe('entries', () => {
  it.each<[entry: string, host: string, port: number, isMeant: boolean]>([
    ['10.0.0.5:22', '10.0.0.5', 22, true],
    ['10.0.0.5:22', '10.0.0.5', 23, false],
    ['10.0.0.5:22', '10.0.0.6', 22, false],
    ['10.0.0.5', '10.0.0.5', 65_535, true],
    ['10.0.0.5:*', '0x0a.5', 1, true],
    ['10.0.0.5:20-30', '10.0.0.5', 20, true],
    ['10.0.0.5:20-30', '10.0.0.5', 30, true],
    ['10.0.0.5:20-30', '10.0.0.5', 19, false],
    ['10.0.0.5:20-30', '10.0.0.5', 31, false],
    ['10.0.0.0/8:22', '10.255.0.1', 22, true],
    ['10.0.0.0/8:22', '11.0.0.1', 22, false],
    ['10.1.2.3/8', '10.9.9.9', 22, true],
    ['192.168.1.128/25', '192.168.1.127', 22, false],
    ['0.0.0.0/0', '2001:db8::1', 22, false],
    ['::/0', '10.0.0.5', 22, false],
    ['2001:db8::/32', '2001:db8:1::1', 22, true],
    ['[2001:db8::/32]:22', '2001:db8:1::1', 22, true],
    ['[2001:db8::/32]:22', '2001:db8:1::1', 23, false],
    ['[2001:db8::1]:22', '2001:DB8:0::1', 22, true],
    ['[::ffff:10.0.0.5]:22', '10.0.0.5', 22, true],
    ['10.0.0.5:22', '::ffff:a00:5', 22, true],
    ['10.0.0.5:22', '64:ff9b::10.0.0.5', 22, false],
    ['localhost:22', '127.0.0.1', 22, true],
    ['localhost:22', '::1', 22, true],
    ['[::1]:22', '127.0.0.1', 22, true],
    ['127.0.0.0/8', '127.1.2.3', 22, true],
    ['db.example.com:22', 'DB.example.com.', 22, true],
    ['DB.Example.COM.:22', 'db.example.com', 22, true],
    ['db.example.com:22', 'db.example.com', 23, false],
    ['db.example.com:22', 'xdb.example.com', 22, false],
    ['db.example.com:22', 'db.example.com.evil.test', 22, false],
    ['db.example.com:22', '192.0.2.5', 22, false],
    ['*.example.com', 'a.b.example.com', 22, true],
    ['*.example.com', 'example.com', 22, false],
    ['*.example.com', 'badexample.com', 22, false],
    ['*.bücher.example', 'a.xn--bcher-kva.example', 22, true],
    ['*:22', '203.0.113.9', 22, true],
    ['*:22', 'any.test', 22, true],
    ['*:22', 'any.test', 23, false],
    ['10.0.0.0/24', 'any.test', 22, false],
    ['192.0.2.0/24', 'any.test', 22, true],
  ])('%s about %s port %i: %s', async (entry, host, at, isMeant) => {
    const allowed = await ask({ host, port: at }, { allow: [entry] }, ['192.0.2.5']);
    expect(allowed.to !== undefined).toBe(isMeant);
  });

  it.each<[entry: string, host: string, isDenied: boolean]>([
    ['10.0.0.5:22', '10.0.0.5', true],
    ['10.0.0.5:23', '10.0.0.5', false],
    ['10.0.0.0/8', '64:ff9b::10.0.0.5', true],
    ['10.0.0.0/8', '2002:a00:5::1', true],
    ['192.0.2.0/24', 'any.test', true],
    ['any.test', 'ANY.test', true],
    ['*.test', 'any.test', true],
    ['other.test', 'any.test', false],
    ['127.0.0.1', '127.9.9.9', true],
    ['[::1]:22', '127.9.9.9', true],
    ['127.0.0.1:22', '64:ff9b::127.0.0.1', true],
    ['*:22', '10.0.0.5', true],
  ])('deny %s beats allow for %s: %s', async (entry, host, isDenied) => {
    const lists = { allow: [...EVERYTHING, '127.0.0.0/8'], deny: [entry] };
    const found = await ask({ host, port: 22 }, lists, ['192.0.2.5']);
    expect(found.code).toBe(isDenied ? 'forbidden' : undefined);
    if (isDenied) expect(found.message).toContain(`tunnels.deny has ${entry}`);
  });

  it('leave out those addresses of a name that are refused, and keep the order of the others', async () => {
    const answers = ['169.254.169.254', '2001:db8::1', '10.0.0.5', 'fe80::1%eth0', '10.0.0.6'];
    const lists = { allow: ['*'], deny: ['10.0.0.6'] };
    const to = [
      { address: '2001:db8::1', port },
      { address: '10.0.0.5', port },
    ];
    expect(await ask({ host: 'any.test', port }, lists, answers)).toEqual({ to });
  });

  it.each([
    [['unix:/run/a.sock'], [], '/run/a.sock', true],
    [['unix:/run/a.sock'], [], '/run/b.sock', false],
    [['unix:/run/a.sock'], [], '/run/../run/a.sock', false],
    [['unix:/run/a.sock'], [], '/run//a.sock', false],
    [['unix:/run/a.sock'], [], '/run/a.sock/', false],
    [['unix:/run/a.sock'], ['unix:/run/a.sock'], '/run/a.sock', false],
    [['*:*', '*'], [], '/run/a.sock', false],
  ])('%j without %j: the socket %s is reached: %s', async (allow, deny, unix, isReached) => {
    const found = await ask({ unix }, { allow, deny });
    expect(found).toMatchObject(isReached ? { to: [{ unix }] } : { code: 'forbidden' });
    if (!isReached) expect(found.message).toContain(`unix:${unix}`);
  });

  it.each([
    ['', 'it names no host'],
    [':22', 'it names no host'],
    ['10.0.0.5:', ' is no port'],
    ['10.0.0.5:0', '0 is no port'],
    ['10.0.0.5:65536', '65536 is no port'],
    ['10.0.0.5:ssh', 'ssh is no port'],
    ['10.0.0.5:+22', '+22 is no port'],
    ['10.0.0.5:30-20', 'end before they begin'],
    ['10.0.0.5:1-2-3', 'is no port'],
    ['10.0.0.5:-22', ' is no port'],
    ['10.0.0.0/33', '/33 is not between 0 and 32'],
    ['10.0.0.0/', '/ is not between'],
    ['10.0.0.0/-1', '/-1 is not between'],
    ['10.0.0/8', 'is no network'],
    ['db.example.com/8', 'is no network'],
    ['10.0.0.0/8/8', 'is no network'],
    ['2001:db8::/129', '/129 is not between 0 and 128'],
    ['[2001:db8::]/32', 'expected an IPv6 address or network in brackets'],
    ['[10.0.0.1]:22', 'expected an IPv6 address or network in brackets'],
    ['::ffff:0:0/96', 'write a network of IPv4 addresses as IPv4'],
    ['0177.0.0.1', 'write the address as 127.0.0.1'],
    ['2130706433:22', 'write the address as 127.0.0.1'],
    ['300.1.1.1', 'it is neither a name nor an address'],
    ['fe80::1%eth0', 'an address with a zone'],
    ['db*.example.com', '* stands for a whole host'],
    ['*.*.com', 'expected a name after *.'],
    ['*.10.0.0.1', 'expected a name after *.'],
    ['unix:run/a.sock', 'expected unix: and an absolute path'],
    ['unix:', 'expected unix: and an absolute path'],
    ['unix:/run/../a.sock', 'write the path as /a.sock'],
    ['unix:/run/', 'write the path as /run'],
    [`unix:/${'a'.repeat(104)}`, '104 bytes at most'],
  ])('%j is refused with its reason', (entry, reason) => {
    expect(whyNoTargetRule(entry)).toContain(reason);
    expect(() => new TargetPolicy({ allow: [entry], deny: [] })).toThrow(reason.slice(0, 20));
  });
});

it.each(['a', 'a.b', 'a_b.c', 'xn--bcher-kva.de', 'B\u00fccher.de', '1.2.3.4x', `${'a'.repeat(63)}.de`])(
  'takes %s for a name',
  (text) => {
    expect(parseHost(text)).toMatchObject({ is: 'name' });
  },
);

it.each([`${'a'.repeat(64)}.de`, `${'a.'.repeat(126)}abc`, 'a b', 'a/b', '\u{2100}.de', 'a\u{ff0f}b'])(
  'takes %j for no host',
  (text) => {
    expect(() => parseHost(text)).toThrow('host ');
  },
);
