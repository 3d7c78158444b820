import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from './canonical-json.ts';

const text = fc.string({ unit: 'grapheme' });
const scalar = fc.oneof(text, fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null));
const { value } = fc.letrec((tie) => ({
  value: fc.oneof({ maxDepth: 3 }, scalar, fc.array(tie('value')), fc.dictionary(text, tie('value'))),
}));

describe('the canonical JSON', () => {
  it('of a value is JSON that says the same', () => {
    fc.assert(
      fc.property(value, (one) => {
        const json = canonicalJson(one as never);
        expect(canonicalJson(JSON.parse(json))).toBe(json);
        // Minus nought is nought in JSON.
        expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify(one)));
      }),
    );
  });

  it('does not depend on the order in which keys were set', () => {
    fc.assert(
      fc.property(fc.dictionary(text, scalar), (one) => {
        const turned = Object.fromEntries(Object.entries(one).toReversed());
        expect(canonicalJson(turned)).toBe(canonicalJson(one));
      }),
    );
  });

  it('is what RFC 8785 §3.2.2 and §3.2.3 show', () => {
    const numbers = [Number('333333333.33333329'), 1e30, 4.5, 2e-3, 0.000000000000000000000000001];
    const string = '\u20ac$\u000f\nA\'B"\\\\"/';
    expect(canonicalJson({ string, numbers, literals: [null, true, false] })).toBe(
      String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
    );
    const keys = ['\u20ac', '\r', '\ufb33', '1', '\ud83d\ude00', '\u0080', '\u00f6'];
    const sorted = JSON.parse(canonicalJson(Object.fromEntries(keys.map((key) => [key, 0])))) as object;
    // Numbers come first in a JavaScript object, whatever the text says.
    expect(Object.keys(sorted)).toEqual(['1', '\r', '\u0080', '\u00f6', '\u20ac', '\ud83d\ude00', '\ufb33']);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, 'half \ud800', { 'half \ud800': 1 }])(
    'does not exist for %j',
    (one) => {
      expect(() => canonicalJson(one)).toThrow(TypeError);
    },
  );
});
