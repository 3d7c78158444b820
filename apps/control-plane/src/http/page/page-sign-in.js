import { api, ask, say } from './page-api.js';

/** Spends the code of a one-time link, if the address has one: signs in, or makes the first admin. */
export async function followLink() {
  if (location.pathname !== '/sign-in' || location.hash.length < 2) return;
  const code = location.hash.slice(1);
  history.replaceState(null, '', '/');
  const { state } = await (await api('/sign-in', { body: { code } })).json();
  if (state !== 'first_admin') return;
  say('Nobody has signed in here yet. Who are you?');
  await ask('first-admin', ({ name, password }) => api('/first-admin', { body: { code, name, password } }));
}

/** Asks for a name and a password until they are right. */
export async function signIn() {
  say('');
  await ask('sign-in', ({ user, password }) => api('/sign-in', { body: { user, password } }));
}

/** A command line waits to be let in: shows its code, and takes a yes or a no. */
export async function answerLogin(id) {
  const request = await (await api(`/login-requests/${encodeURIComponent(id)}`)).json();
  document.getElementById('login-label').textContent = request.label;
  document.getElementById('login-address').textContent = request.address ?? 'an unknown address';
  document.getElementById('login-code').textContent = request.user_code;
  say('');
  const answer = await ask('login', async (fields) => {
    await api(`/login-requests/${encodeURIComponent(id)}/answer`, { body: { answer: fields.answer } });
    return fields.answer;
  });
  history.replaceState(null, '', '/');
  say(answer === 'approve' ? 'The command line is signed in: you can go back to it.' : 'Denied. Nothing was let in.');
}

/** Somebody who came by a link may choose a password, so that the next time needs none. */
export async function offerPassword() {
  await ask('password', ({ password }) => api('/whoami/password', { method: 'PUT', body: { password } }));
  say('Your password is set: next time sign in with it.');
}
