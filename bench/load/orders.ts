/** Whom a crowd connects to, and as what. */
export type CrowdTarget =
  | {
      readonly kind: 'control-plane';
      readonly url: string;
      readonly caFile?: string | undefined;
      /** Each lets a thousand agents enrol. */
      readonly joinTokens: readonly string[];
    }
  | {
      readonly kind: 'reference';
      readonly url: string;
      readonly caFile: string;
      /** The control plane tells its agents itself. */
      readonly heartbeatSeconds: number;
    };

/** What a load process is started with. */
export interface CrowdOptions {
  readonly target: CrowdTarget;
  readonly size: number;
  /** Tells the names and addresses of several load processes apart. */
  readonly index: number;
  /** Dials under way at the same time. */
  readonly dialsMax: number;
}

/**
 * What the parent asks of a load process: `connect` dials `count` clients and answers when all are served; `cut` drops every
 * connection at once; `count` says how many are still connected.
 */
export type Order =
  { readonly do: 'connect'; readonly count: number } | { readonly do: 'cut' } | { readonly do: 'count' };

/** The answer to an order: how many clients are connected now, or what went wrong. */
export type Answer = { readonly connected: number } | { readonly error: string };
