// Plain JavaScript: which of our programs a command line is for.

/** The folder of `apps/` that carries out `drawbridge <words>`. */
export function programOf([verb, word]) {
  if (verb === 'agent') return 'agent';
  // `server backup` asks a control plane that runs, as the command line does.
  if (verb === 'server' && word !== 'backup') return 'control-plane';
  return 'cli';
}
