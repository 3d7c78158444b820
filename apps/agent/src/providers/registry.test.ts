import { expect, it } from 'vitest';
import { AgentInfo } from '@drawbridge/protocol';
import { ProviderRegistry } from './registry.ts';

const command = { kind: 'command', binary: 'true' } as const;

it.each([
  ['claude', ['execute_task', 'update_config', 'stream_chunk']],
  ['copilot', ['execute_task', 'update_config']],
  ['gemini', ['execute_task', 'update_config', 'reset_context']],
  ['another', ['execute_task', 'update_config', 'stream_chunk']],
])('allows %s by default %j, and nothing else', (name, actions) => {
  const registry = new ProviderRegistry({ [name]: command });
  expect(registry.get(name).actions).toEqual(actions);
  for (const action of actions) expect(() => registry.assertAllowed(name, action)).not.toThrow();
  expect(() => registry.assertAllowed(name, 'rm_rf')).toThrow(`Action rm_rf blocked for provider ${name}`);
});

it('lets the settings replace the list of actions, down to nothing', () => {
  const registry = new ProviderRegistry({ claude: { ...command, actions: [] } });
  expect(registry.allows('claude', 'execute_task')).toBe(false);
});

it.each(['nobody', 'constructor', '__proto__', 'toString'])('knows no provider %s, and allows it nothing', (name) => {
  const registry = new ProviderRegistry({ shell: { kind: 'shell' } });
  expect(() => registry.get(name)).toThrow(`Unsupported provider: ${name}`);
  expect(() => registry.assertAllowed(name, 'execute_task')).toThrow(
    `Action execute_task blocked for provider ${name}`,
  );
});

it('tells which providers can run, and why others cannot', async () => {
  const registry = new ProviderRegistry({
    shell: { kind: 'shell' },
    gone: { kind: 'command', binary: 'no-such-program' },
    relative: { kind: 'command', binary: './here' },
    directory: { kind: 'shell', binary: '/tmp' },
  });
  const info = AgentInfo.shape.providers.parse(await registry.probeAll());
  expect(info.map(({ name, available, reason }) => [name, available, reason])).toEqual([
    ['shell', true, undefined],
    ['gone', false, 'no-such-program is not on the PATH'],
    ['relative', false, './here is not on the PATH'],
    ['directory', false, '/tmp is missing or not executable'],
  ]);
});
