// Keeps a list of machines up to date on a page that the control plane's own host serves: <pre id="agents"></pre>.
// The browser sends the session cookie of whoever is signed in by itself: there is no token here.
import { DrawbridgeClient } from '@drawbridge/client';

const client = new DrawbridgeClient({ url: location.origin, fetch: (url, init) => fetch(url, init) });

const retry = {
  sleep: (delayMs, signal) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, delayMs);
      signal?.addEventListener('abort', () => {
        clearTimeout(timer);
        reject(signal.reason);
      });
    }),
  nowMs: () => performance.now(),
  patienceMs: 120_000,
};

/** Shows the machines, again whenever one of them changes, until `signal` aborts. */
export async function showAgents(signal) {
  // After an event that is not known to the control plane, the first it tells is to read everything: nothing is missed between.
  const changes = client.followEvents({ types: ['agent'], lastEventId: 'none' }, retry, signal);
  for await (const _change of changes) {
    const agents = await client.listAgents({}, signal);
    // As text: a name is what a machine says of itself, never markup.
    document.querySelector('#agents').textContent = agents.map(({ name, status }) => `${name}: ${status}`).join('\n');
  }
}
