import { expect, it } from 'vitest';
import { Strangers } from './strangers.ts';

it('lets so many strangers of one address wait, and no more', () => {
  const strangers = new Strangers(2);
  const first = strangers.admit('192.0.2.1');
  strangers.admit('192.0.2.1');
  expect(() => strangers.admit('192.0.2.1')).toThrow(expect.objectContaining({ code: 'rate_limited' }));
  strangers.admit('192.0.2.2');
  first.isKnown();
  strangers.admit('192.0.2.1');
});

it('gives one place back, whoever says so and how often', () => {
  const strangers = new Strangers(1);
  {
    using stranger = strangers.admit('192.0.2.1');
    stranger.isKnown();
    stranger.isKnown();
  }
  strangers.admit('192.0.2.1');
  expect(() => strangers.admit('192.0.2.1')).toThrow();
});
