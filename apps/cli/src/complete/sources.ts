import type { AgentView, DrawbridgeClient } from '@drawbridge/client';
import { VERBS } from '@drawbridge/protocol/api';
import { dataDirOf } from '@drawbridge/runtime/data-dir';
import { connect } from '../access.ts';
import { Contexts, LOCAL_CONTEXT } from '../contexts.ts';
import { labelText } from '../output.ts';
import { rolesText } from '../role-bindings.ts';
import type { Candidate, Question } from './candidates.ts';

const TASKS_MAX = 50;

/** What the help's `<agent>`, `<task>` and so on stand for at this moment. A new kind of thing is a `case` here. */
export async function dynamicCandidates({ name, typed, context }: Question): Promise<readonly Candidate[]> {
  const client = () => connect(context === undefined ? {} : { context });
  switch (name) {
    case 'agent':
      return (await (await client()).listAgents()).map((agent) => ({
        word: agent.name,
        about: `${agent.status} ${labelText(agent.labels)}`.trim(),
      }));
    case 'selector':
      return selectors(await (await client()).listAgents(), typed);
    case 'task':
      return (await (await client()).listTasks({ limit: TASKS_MAX })).map(({ id: word, provider, state }) => ({
        word,
        about: `${provider} ${state}`,
      }));
    case 'tunnel':
      return (await (await client()).listTunnels())
        .filter(({ kind }) => kind === 'operator')
        .map(({ tunnel_id: word, protocol, state }) => ({ word, about: `${protocol ?? ''} ${state}`.trim() }));
    case 'join-token':
      return (await (await client()).listJoinTokens()).map(({ id, labels }) => ({
        word: id,
        about: labelText(labels),
      }));
    case 'user':
      return (await (await client()).users.list()).map(({ name: word, roles }) => ({ word, about: rolesText(roles) }));
    case 'role':
      return roleBindings(await client(), typed);
    case 'verb':
      return VERBS.map((word) => ({ word, about: '' }));
    case 'token':
      return (await (await client()).tokens.list())
        .filter(({ revoked }) => !revoked)
        .map(({ id: word, name: about }) => ({ word, about }));
    case 'sign-in':
      return (await (await client()).sessions.list()).map(({ id: word, label: about }) => ({ word, about }));
    case 'context':
      return contexts();
    default:
      return [];
  }
}

/** Roles; behind the colon of a role the labels that may limit it. */
async function roleBindings(client: DrawbridgeClient, typed: string): Promise<readonly Candidate[]> {
  const colon = typed.indexOf(':');
  if (colon === -1) {
    return (await client.roles.list()).map(({ name: word, description: about }) => ({ word, about }));
  }
  const role = typed.slice(0, colon + 1);
  const found = selectors(await client.listAgents(), typed.slice(colon + 1));
  return found.map(({ word, about }) => ({ word: role + word, about }));
}

/** The labels there are, behind the conditions that stand there already. */
function selectors(agents: readonly AgentView[], typed: string): Candidate[] {
  const before = typed.slice(0, typed.lastIndexOf(',') + 1);
  const pairs = agents.flatMap(({ labels }) => Object.entries(labels).map(([key, value]) => `${key}=${value}`));
  return [...new Set(pairs)].sort().map((pair) => ({ word: before + pair, about: '' }));
}

async function contexts(): Promise<readonly Candidate[]> {
  const { all } = await Contexts.open(dataDirOf(undefined, process.env));
  return [
    ...all.map(({ name, url }) => ({ word: name, about: url })),
    { word: LOCAL_CONTEXT, about: 'what "drawbridge up" runs here' },
  ];
}
