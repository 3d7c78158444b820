import { api, byId, say } from './page-api.js';

const OUTPUT_CHARACTERS_MAX = 200_000;
// Everything but tab and newline that a terminal, or a reader of bidirectional text, would act on.
const CONTROLS =
  /\u001b\[[0-?]*[ -/]*[@-~]|[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Reads agents and tasks and shows them. What agents say is only ever text. */
export async function refreshLists() {
  const [agents, tasks] = await Promise.all(
    ['/agents?limit=200', '/tasks?limit=50'].map(async (path) => (await (await api(path)).json()).items),
  );
  byId('lists').hidden = false;
  const names = new Map(agents.map((agent) => [agent.id, agent.name]));
  fill('agents', agents.map(agentRow), 'No agents yet. Make a join token with: drawbridge join-token create', 7);
  fill(
    'tasks',
    tasks.map((task) => taskRow(task, names)),
    'No tasks yet. Start one with: drawbridge run AGENT --provider shell',
    7,
  );
}

function cell(text, className) {
  const td = document.createElement('td');
  td.textContent = text ?? '';
  if (className) td.className = className;
  return td;
}

function stateCell(state) {
  const td = document.createElement('td');
  const span = document.createElement('span');
  span.className = `state ${/^[a-z_]+$/.test(state) ? state : ''}`;
  span.textContent = state.replaceAll('_', ' ');
  td.append(span);
  return td;
}

function fill(id, rows, emptyText, columns) {
  if (rows.length === 0) {
    const tr = document.createElement('tr');
    const td = cell(emptyText, 'empty');
    td.colSpan = columns;
    tr.append(td);
    rows = [tr];
  }
  byId(id).replaceChildren(...rows);
}

const percent = (share) => (share === undefined ? '' : `${Math.round(share * 100)} %`);
const mebibytes = (bytes) => (bytes === undefined ? '' : `${Math.round(bytes / 1048576).toLocaleString()} MiB`);

function agentRow(agent) {
  const tr = document.createElement('tr');
  const health = agent.health ?? {};
  const memory =
    health.memory && `${mebibytes(health.memory.available_bytes)} free of ${mebibytes(health.memory.total_bytes)}`;
  const rtt = health.rtt_ms === undefined ? '' : `${health.rtt_ms.toFixed(1)} ms`;
  tr.append(cell(agent.name), stateCell(agent.status), cell([agent.os, agent.arch].filter(Boolean).join(' ')));
  tr.append(cell(percent(health.cpu)), cell(memory), cell(rtt), cell(health.tasks_running));
  return tr;
}

function taskRow(task, agents) {
  const tr = document.createElement('tr');
  const link = document.createElement('td');
  const button = document.createElement('button');
  const code = document.createElement('code');
  code.textContent = task.id.slice(-12);
  button.append(code);
  button.title = `Show the output of ${task.id}`;
  button.addEventListener('click', () => showOutput(task.id).catch((error) => say(error.message)));
  link.append(button);
  tr.append(link, cell(agents.get(task.agent_id) ?? task.agent_id), cell(task.provider), stateCell(task.state));
  tr.append(cell(task.exit_code), cell(task.output_bytes === null ? '' : `${task.output_bytes.toLocaleString()} B`));
  tr.append(cell(new Date(task.created_at).toLocaleString()));
  return tr;
}

async function showOutput(taskId) {
  const output = byId('output');
  output.hidden = false;
  output.textContent = 'Reading …';
  const text = await (await api(`/tasks/${taskId}/output`)).text();
  output.textContent = text.slice(-OUTPUT_CHARACTERS_MAX).replace(CONTROLS, '') || '(no output)';
}
