import { ControlError } from '@drawbridge/protocol';
import { describe, expect, it } from 'vitest';
import { HandshakeRefused } from './backend-web-socket.ts';
import { endForClient, endForService, endOfError, endOfFault } from './close-codes.ts';

describe('the code of one end, as it is told to the other', () => {
  it.each([
    [1000, 1000, 1000],
    [1001, 1001, 1001],
    [1004, 1011, 1011],
    [1005, 1000, 1000],
    [1006, 1011, 1000],
    [1009, 1009, 1009],
    [1015, 1011, 1011],
    [3000, 3000, 3000],
    [4001, 4001, 4001],
    [4999, 4999, 4999],
  ])('%i is %i to the client and %i to the service', (code, forClient, forService) => {
    expect(endForClient({ code, reason: '' }).code).toBe(forClient);
    expect(endForService({ code, reason: '' }).code).toBe(forService);
  });

  it('comes with as much of the reason as a frame holds, never half a character', () => {
    const reason = 'ü'.repeat(100);
    expect(endForClient({ code: 1000, reason }).reason).toBe('ü'.repeat(61));
    expect(endForService({ code: 1000, reason }).reason).toBe('ü'.repeat(61));
  });
});

it.each([
  ['WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', 1009],
  ['WS_ERR_INVALID_UTF8', 1007],
  ['WS_ERR_TOO_MANY_BUFFERED_PARTS', 1008],
  ['WS_ERR_EXPECTED_MASK', 1002],
  ['ECONNRESET', undefined],
])('the fault %s is %s to both', (code, told) => {
  expect(endOfFault(Object.assign(new Error('x'), { code }))?.code).toBe(told);
});

it.each([
  [new ControlError('agent_not_found', 'no agent a'), 1008, 'agent_not_found: no agent a'],
  [new ControlError('forbidden', 'no'), 1008, 'forbidden: no'],
  [new ControlError('unsupported', 'no'), 1008, 'unsupported: no'],
  [new HandshakeRefused('the service answered with 404'), 1008, 'the service answered with 404'],
  [new ControlError('agent_offline', 'away'), 1011, 'agent_offline: away'],
  [new ControlError('target_unreachable', 'x'.repeat(200)), 1011, `target_unreachable: ${'x'.repeat(103)}`],
  [new Error('the password is x'), 1011, 'internal error'],
])('%s closes with %i', (error, code, reason) => {
  expect(endOfError(error)).toEqual({ code, reason });
});
