/**
 * `request` of node:http. An import of that module would evaluate all it exports, and with its WebSocket load the whole of
 * undici: 5 MB of every agent, for a class nobody uses.
 */
export const { request: httpRequest } = process.getBuiltinModule('node:http');
