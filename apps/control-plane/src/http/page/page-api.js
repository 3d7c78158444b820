/** Asks the API as whoever the cookie says; rejects with the control plane's own words, its `code` and `status` beside. */
export async function api(path, options = {}) {
  const { body, ...rest } = options;
  const request =
    body === undefined
      ? rest
      : { method: 'POST', ...rest, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const response = await fetch(`/api/v1${path}`, request);
  if (response.ok) return response;
  const { message, code } = await response.json().catch(() => ({ message: `HTTP ${response.status}` }));
  throw Object.assign(new Error(message), { status: response.status, code });
}

export const byId = (id) => document.getElementById(id);

/** One line for the person, above everything else. */
export function say(text) {
  byId('status').textContent = text;
}

/** Shows a form and resolves with the first answer of `send` that works; what is refused is said below its fields. */
export function ask(id, send) {
  const form = byId(id);
  const problem = form.querySelector('.problem');
  form.hidden = false;
  form.querySelector('input')?.focus();
  return new Promise((resolve) => {
    form.onsubmit = async (event) => {
      event.preventDefault();
      problem.textContent = '';
      // First: a button that is disabled has no value any more.
      const fields = Object.fromEntries(new FormData(form, event.submitter));
      const buttons = form.querySelectorAll('button');
      for (const button of buttons) button.disabled = true;
      try {
        const answer = await send(fields);
        form.hidden = true;
        form.reset();
        resolve(answer);
      } catch (error) {
        problem.textContent = error.message;
      } finally {
        for (const button of buttons) button.disabled = false;
      }
    };
  });
}
