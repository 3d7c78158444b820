/** Who is told of what becomes of a noun's rows, once it is durable. A follower is quick and does not throw. */
export interface Follower<Row> {
  /** A new row was stored. */
  stored?(row: Row): void;
  /** A row came into the state it has now. */
  moved?(row: Row): void;
}

/** The followers of one noun, told in the order in which they came. */
export class Followers<Row> {
  readonly #followers: Follower<Row>[] = [];

  add(follower: Follower<Row>): void {
    this.#followers.push(follower);
  }

  stored(row: Row): void {
    for (const follower of this.#followers) follower.stored?.(row);
  }

  moved(row: Row): void {
    for (const follower of this.#followers) follower.moved?.(row);
  }
}
