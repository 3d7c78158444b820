/** `map` with an asynchronous `work`, of which at most `atOnceMax` run at the same time. */
export async function mapBounded<In, Out>(
  items: readonly In[],
  atOnceMax: number,
  work: (item: In) => Promise<Out>,
): Promise<Out[]> {
  const results: Out[] = [];
  const queue = items.entries();
  const worker = async () => {
    for (const [index, item] of queue) results[index] = await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(atOnceMax, items.length) }, worker));
  return results;
}
