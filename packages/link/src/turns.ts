/** Who waits for a turn, first come first served, each once: taking a turn and asking again goes to the end of the line. */
export class Turns<T> {
  // A Set keeps the order of insertion and finds and removes in constant time.
  readonly #line = new Set<T>();

  get size(): number {
    return this.#line.size;
  }

  /** Joins the line. Asking again while waiting changes nothing. */
  add(member: T): void {
    this.#line.add(member);
  }

  /** Takes the first of the line out of it. */
  next(): T | undefined {
    for (const first of this.#line) {
      this.#line.delete(first);
      return first;
    }
    return undefined;
  }

  clear(): void {
    this.#line.clear();
  }
}
