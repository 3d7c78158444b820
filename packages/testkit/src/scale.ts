/** `full` times DRAWBRIDGE_SCALE (1 = full size), rounded, and never less than `min`: how big a long test is this time. */
export function scaled(full: number, min = 1, env: NodeJS.ProcessEnv = process.env): number {
  return Math.max(min, Math.round(full * readScale(env)));
}

function readScale(env: NodeJS.ProcessEnv): number {
  const text = env['DRAWBRIDGE_SCALE'];
  if (text === undefined || text === '') return 1;
  const scale = Number(text);
  if (!(scale > 0) || !Number.isFinite(scale)) throw new Error(`DRAWBRIDGE_SCALE: ${text} is not a number above 0`);
  return scale;
}
