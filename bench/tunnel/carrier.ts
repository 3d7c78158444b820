/** The processes of a chain: where connections come in, the middle that both ends meet in, and where they go out. */
export const PARTS = ['operator', 'relay', 'agent'] as const;
export type Part = (typeof PARTS)[number];

/** Carries each connection to its local port over two hops to the sink. */
export interface Carrier extends AsyncDisposable {
  readonly port: number;
  /** The processes that do it, now. */
  pids(): Readonly<Record<Part, readonly number[]>>;
}
