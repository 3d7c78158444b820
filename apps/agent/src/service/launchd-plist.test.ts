import { expect, it } from 'vitest';
import { launchdPlist } from './launchd-plist.ts';
import { SPEC } from './service-fixture.ts';

it('has a property list that says what the unit says', () => {
  const text = launchdPlist({ ...SPEC, envFile: undefined });
  expect(text).toContain('<key>UserName</key>\n  <string>drawbridge-agent</string>');
  expect(text).toContain('<key>AbandonProcessGroup</key>\n  <true/>');
  expect(text).toContain('<key>ExitTimeOut</key>\n  <integer>55</integer>');
  const [, words = ''] = /<array>([^]*)<\/array>/.exec(text) ?? [];
  expect([...words.matchAll(/<string>(.*)<\/string>/g)].map(([, word]) => word)).toEqual([
    '/usr/bin/node',
    '--disable-warning=ExperimentalWarning',
    '/opt/drawbridge/dist/drawbridge.js',
    'agent',
    '--config',
    '/etc/drawbridge/agent.yaml',
    '--data',
    '/var/lib/drawbridge-agent',
  ]);
});

it('lets no path be more than text', () => {
  expect(launchdPlist({ ...SPEC, data: '/a&b</string><true/>' })).toContain('/a&amp;b&lt;/string&gt;&lt;true/&gt;');
});

it('names no user in a list of a user', () => {
  expect(launchdPlist({ ...SPEC, scope: 'user' })).not.toContain('UserName');
});
