/**
 * The wire's version. It rises with every change a peer could notice; agents two versions older are served.
 *
 * 1 — 2026-11-21: the first wire: control link, operations of tasks and tunnels, frames of PROTOCOL.md §3.2.
 *     Also `traceparent` of `command`, optional: a peer that does not know it ignores it.
 *     Also `applied` of `ack`, optional; and the control plane sends `config_update`.
 *     Also `machine_id` of `auth` and of enrolment, optional.
 */
export const PROTOCOL_VERSION = 1;

/** The WebSocket subprotocol of the control link (PROTOCOL.md §2.1). */
export const LINK_SUBPROTOCOL = 'drawbridge.v1';

/** The WebSocket subprotocol of a tunnel's leg (PROTOCOL.md §3). */
export const TUNNEL_SUBPROTOCOL = 'drawbridge.tunnel.v1';
