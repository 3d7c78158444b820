import { ControlError, parseSelector, selects } from '@drawbridge/protocol';
import { BUILT_IN_ROLES, VERBS } from '@drawbridge/protocol/api';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SYSTEM, actorText, agentActor } from './actor.ts';
import { AGENTS, CONTROL_PLANE, authorise, can, requireHolds, scopeOf } from './authorise.ts';
import type { Resource } from './authorise.ts';
import { actorWith } from './people-fixture.ts';

function agent(labels: Record<string, string>): Resource {
  return { kind: 'agent', agentId: 'a1', labels };
}

function task(labels: Record<string, string>): Resource {
  const missing = () => new ControlError('task_not_found', 'no task t1');
  return { kind: 'agent', agentId: 'a1', labels, missing, toRead: 'task.read' };
}

const DEV_VIEWER = actorWith([['agent.read', 'task.read'], 'env=dev']);

it('lets nobody do what no grant allows', () => {
  const nobody = actorWith();
  for (const verb of VERBS) {
    for (const resource of [agent({}), AGENTS, CONTROL_PLANE]) expect(can(nobody, verb, resource)).toBe(false);
  }
});

it('lets an actor do on the agents it selects, and on no others', () => {
  expect(can(DEV_VIEWER, 'agent.read', agent({ env: 'dev' }))).toBe(true);
  expect(can(DEV_VIEWER, 'agent.read', agent({ env: 'prod' }))).toBe(false);
  expect(can(DEV_VIEWER, 'task.run', agent({ env: 'dev' }))).toBe(false);
});

it('does not add up halves of different grants', () => {
  const both = actorWith([['agent.read'], 'env=prod'], [['task.run'], 'env=dev']);
  expect(can(both, 'task.run', agent({ env: 'prod' }))).toBe(false);
});

it('opens a list to who may see some of it, the control plane only to who has it all', () => {
  expect(can(DEV_VIEWER, 'agent.read', AGENTS)).toBe(true);
  expect(can(DEV_VIEWER, 'agent.read', CONTROL_PLANE)).toBe(false);
  const scopedAdmin = actorWith([VERBS, 'env=dev']);
  for (const verb of ['admin.users', 'admin.roles', 'admin.join-tokens', 'metrics.read', 'admin.groups'] as const) {
    expect(can(scopedAdmin, verb, CONTROL_PLANE)).toBe(false);
    expect(can(scopedAdmin, verb, AGENTS)).toBe(false);
  }
});

it('tells who may not even read a thing that it is not there, and who may read it that the right is missing', () => {
  expect(() => authorise(DEV_VIEWER, 'task.cancel', task({ env: 'prod' }))).toThrow(
    expect.objectContaining({ code: 'task_not_found' }),
  );
  expect(() => authorise(DEV_VIEWER, 'task.cancel', task({ env: 'dev' }))).toThrow(
    expect.objectContaining({ code: 'forbidden', message: expect.stringMatching(/task\.cancel/) }),
  );
  expect(() => authorise(DEV_VIEWER, 'agent.read', agent({ env: 'prod' }))).toThrow(
    expect.objectContaining({ code: 'agent_not_found' }),
  );
});

it('shows an agent to who may see it, also when they may do nothing with its tasks', () => {
  const agentsOnly = actorWith([['agent.read'], '']);
  expect(() => authorise(agentsOnly, 'task.run', agent({}))).toThrow(expect.objectContaining({ code: 'forbidden' }));
});

it('hides a task from who may see the agent but no tasks', () => {
  const agentsOnly = actorWith([['agent.read'], '']);
  expect(() => authorise(agentsOnly, 'task.read', task({}))).toThrow(
    expect.objectContaining({ code: 'task_not_found' }),
  );
});

it('says on which agents an actor may: the selectors of all grants with the verb', () => {
  const actor = actorWith([['agent.read'], 'env=dev'], [['agent.read', 'task.run'], 'site=lab'], [['task.run'], '']);
  expect(scopeOf(actor, 'agent.read')).toEqual([parseSelector('env=dev'), parseSelector('site=lab')]);
  expect(scopeOf(actor, 'file.read')).toEqual([]);
});

it('allows on an agent exactly when one of the selectors of its scope selects it', () => {
  const label = fc.constantFrom('a=1', 'a=2', 'b=1', '!a', 'a!=1', 'b');
  const selector = fc.array(label, { maxLength: 2 }).map((parts) => parts.join(','));
  const labels = fc.dictionary(fc.constantFrom('a', 'b'), fc.constantFrom('1', '2'));
  fc.assert(
    fc.property(fc.array(selector, { maxLength: 3 }), labels, (selectors, given) => {
      const actor = actorWith(...selectors.map((text) => [['task.run'], text] as const));
      const inScope = scopeOf(actor, 'task.run').some((part) => selects(part, given));
      expect(can(actor, 'task.run', agent(given))).toBe(inScope);
    }),
  );
});

describe('giving rights', () => {
  it('is for who has them, no wider than they have them', () => {
    const lead = actorWith([['task.run', 'agent.read'], 'env=dev']);
    expect(() => requireHolds(lead, ['task.run'], parseSelector('env=dev'))).not.toThrow();
    expect(() => requireHolds(lead, ['task.run'], parseSelector('env=dev,site=lab'))).not.toThrow();
    for (const selector of ['', 'site=lab', 'env=prod', 'env!=dev', 'env']) {
      expect(() => requireHolds(lead, ['task.run'], parseSelector(selector))).toThrow(/not theirs/);
    }
    expect(() => requireHolds(lead, ['task.run', 'file.read'], parseSelector('env=dev'))).toThrow(/file\.read/);
  });
});

it('has roles that grow from viewer to operator to admin, and keeps root to the admin', () => {
  const { viewer, operator, admin } = BUILT_IN_ROLES;
  expect(viewer.filter((verb) => !operator.includes(verb))).toEqual([]);
  expect(admin).toEqual(VERBS);
  for (const verb of ['docker.root', 'audit.read', 'admin.users', 'admin.agents'] as const) {
    expect(operator).not.toContain(verb);
  }
  expect(viewer.filter((verb) => !verb.endsWith('.read'))).toEqual([]);
});

it('lets the system open tunnels of its own accord, and nothing else', () => {
  const resource = agent({ env: 'prod' });
  expect(VERBS.filter((verb) => can(SYSTEM, verb, resource))).toEqual(['tunnel.open']);
  expect(actorText(SYSTEM)).toBe('system:system');
});

it('lets an agent connect and serve tunnels as itself alone, and nobody else in its place', () => {
  const a1 = agentActor({ agent_id: 'a1', name: 'build-1' });
  const a2 = agentActor({ agent_id: 'a2', name: 'build-2' });
  for (const verb of ['agent.connect', 'tunnel.serve'] as const) {
    expect(can(a1, verb, agent({}))).toBe(true);
    expect(can(a2, verb, agent({}))).toBe(false);
    expect(can(actorWith([VERBS, '']), verb, agent({}))).toBe(false);
    expect(can(SYSTEM, verb, agent({}))).toBe(false);
  }
  expect(VERBS.filter((verb) => can(a1, verb, agent({})) || can(a1, verb, CONTROL_PLANE))).toEqual([]);
});
