export { channelDuplex } from './channel-duplex.ts';
