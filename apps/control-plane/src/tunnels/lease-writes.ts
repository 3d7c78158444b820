import { LeasesRepository } from '../store/leases-repository.ts';
import type { Db } from '../store/store.ts';
import type { LiveLease } from './lease.ts';

/**
 * Writes leases through to the store. Writes of one lease come after one another, and each writes what the lease is like when its
 * turn has come: what is stored last is what is true.
 */
export class LeaseWrites {
  readonly #leases: LeasesRepository;
  readonly #tails = new Map<string, Promise<void>>();

  constructor(db: Db) {
    this.#leases = new LeasesRepository(db);
  }

  /** Resolves once the lease is stored as it is now, or later. It stays dirty when that fails. */
  write(lease: LiveLease): Promise<void> {
    const { tunnelId } = lease;
    const before = this.#tails.get(tunnelId) ?? Promise.resolve();
    const written = before.then(
      () => this.#store(lease),
      () => this.#store(lease),
    );
    this.#tails.set(tunnelId, written);
    const forget = () => {
      if (this.#tails.get(tunnelId) === written) this.#tails.delete(tunnelId);
    };
    written.then(forget, forget);
    return written;
  }

  async #store(lease: LiveLease): Promise<void> {
    lease.isDirty = false;
    try {
      await this.#leases.update(lease.tunnelId, lease.changes());
    } catch (error) {
      lease.isDirty = true;
      throw error;
    }
  }
}
