/** What a column holds and gives back, on both engines. Booleans are 0 and 1, JSON is text. */
export type SqlValue = null | number | bigint | string | Uint8Array;

/** Turns query parameters into what a column stores: booleans into 0 and 1, bytes into bytes that travel alone. */
export function bindAll(parameters: readonly unknown[]): SqlValue[] {
  return parameters.map(bind);
}

function bind(value: unknown, index: number): SqlValue {
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'bigint':
      return value;
    case 'boolean':
      return value ? 1 : 0;
  }
  if (value === null) return null;
  if (value instanceof Uint8Array) return unshared(value);
  // The type is named, the value is not: it may be a secret.
  throw new TypeError(`parameter ${index + 1}: ${Object.prototype.toString.call(value)} has no place in a column`);
}

/** A view is posted with the whole buffer behind it; a small Buffer would bring its neighbours in the pool along. */
function unshared(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);
}
