import { expect, it } from 'vitest';
import { parseSocketTable } from './socket-table.ts';

const HEADER = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode';
const line = (local: string, state: string) =>
  `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 49774 1 0 100 0 0 10 0`;

it.each([
  ['tcp', '0100007F:1CE8', '0A', '127.0.0.1:7400', true],
  ['tcp', '0100007F:1CE8', '01', '127.0.0.1:7400', false],
  ['tcp6', '00000000000000000000000001000000:1CE8', '0A', '[::1]:7400', true],
  ['tcp6', 'B80D0120000000000000000001000000:0050', '0A', '[2001:db8::1]:80', true],
  ['udp', '00000000:14E9', '07', '0.0.0.0:5353', true],
  ['udp', '00000000:14E9', '01', '0.0.0.0:5353', false],
  ['udp', '00000000:0000', '07', '0.0.0.0:0', false],
] as const)('reads %s %s in state %s', (table, local, state, address, isReachable) => {
  const text = `${HEADER}\n${line(local, state)}\n`;
  expect(parseSocketTable(table, text)).toEqual([{ table, inode: '49774', address, isReachable }]);
});

it('reads nothing from a line that is no socket', () => {
  expect(parseSocketTable('tcp', `${HEADER}\n\nnonsense\n`)).toEqual([]);
});
