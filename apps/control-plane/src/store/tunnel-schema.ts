/** The right to one operator tunnel (PROTOCOL.md §3.1), and, once it has ended, how. */
export interface TunnelLeasesTable {
  tunnel_id: string;
  agent_id: string;
  /** The port it is reached by, as its tokens bind it. */
  assigned_port: number;
  protocol: string;
  domain: string;
  /** Where its channels lead, as JSON; null: each channel says so itself. */
  target: string | null;
  /** What its operator wrote beside it, as JSON. */
  metadata: string;
  /** `kind:id`. */
  operator_id: string;
  operator_name: string | null;
  state: 'pending' | 'active' | 'grace' | 'closing' | 'closed' | 'expired';
  /** Fences the agent's leg and the operator's: each new one gets the next (PROTOCOL.md §3.6). */
  epoch: number;
  /** Seconds, as configured when it was made. */
  idle_timeout: number;
  grace_timeout: number;
  created_at: string;
  /** When it ends unless something happens, as it was known when the row was last written. */
  expires_at: string;
  last_activity_at: string;
  /** Since when an end is away; null while both are there, or have not met yet. */
  grace_since: string | null;
  bytes_up: number;
  bytes_down: number;
  close_code: number | null;
  close_reason: string | null;
  ended_at: string | null;
}
