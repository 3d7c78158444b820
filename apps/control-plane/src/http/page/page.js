// The built-in page: signs in, lets command lines in, and shows agents and tasks.
import { api, byId, say } from './page-api.js';
import { refreshLists } from './page-lists.js';
import { answerLogin, followLink, offerPassword, signIn } from './page-sign-in.js';

const REFRESH_MS = 2_000;

/** True once the page is about to be loaded anew: what still runs shows nothing more. */
let isLeaving = false;

byId('sign-out').addEventListener('click', async () => {
  isLeaving = true;
  await api('/sessions/current', { method: 'DELETE' });
  location.assign('/');
});

/** Whoever is signed in; asks them to sign in first if need be. */
async function whoAmI() {
  for (;;) {
    try {
      return await (await api('/whoami')).json();
    } catch (error) {
      if (error.status !== 401) throw error;
      await signIn();
    }
  }
}

async function show(who) {
  byId('who').textContent = who.name;
  byId('sign-out').hidden = false;
  say('');
  if (location.pathname === '/login') await answerLogin(location.hash.slice(1)).catch((error) => say(error.message));
  if (!who.has_password) offerPassword().catch((error) => say(error.message));
  for (;;) {
    await refreshLists();
    await new Promise((resolve) => setTimeout(resolve, REFRESH_MS));
  }
}

async function main() {
  try {
    await followLink();
  } catch (error) {
    say(`${error.message}. A new link is made by: drawbridge sign-in-link`);
    return;
  }
  for (;;) {
    try {
      await show(await whoAmI());
    } catch (error) {
      if (isLeaving) return;
      if (error.status !== 401) say(`Cannot show what is there: ${error.message}`);
      byId('lists').hidden = true;
      await new Promise((resolve) => setTimeout(resolve, REFRESH_MS));
    }
  }
}

await main();
