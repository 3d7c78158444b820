/** The JSON of answers that are given to many. */
const texts = new WeakMap<object, string>();

/** Writes an answer down now, so that it costs nothing to give it again. It must not change any more. */
export function prepared<Answer extends object>(answer: Answer): Answer {
  texts.set(answer, JSON.stringify(answer));
  return answer;
}

/** Fastify's serializer. Answers are held to their schemas by the compiler, and by tests of the running server. */
export function answerText(answer: unknown): string {
  const text = typeof answer === 'object' && answer !== null ? texts.get(answer) : undefined;
  return text ?? JSON.stringify(answer);
}
