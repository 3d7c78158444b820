import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes } from 'node:crypto';
import { ControlError } from '@drawbridge/protocol';
import { KEY_BYTES, loadMasterKey } from './master-key.ts';

/** Where a sealed value lives. It opens nowhere else. */
export interface SecretPlace {
  readonly table: string;
  readonly row: string;
  readonly column: string;
}

/** version u8 · key id 8 · wrapped data key (nonce 12 · key 32 · tag 16) · content (nonce 12 · bytes · tag 16) */
const VERSION = 1;
const KEY_ID_BYTES = 8;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const WRAPPED_AT = 1 + KEY_ID_BYTES;
const CONTENT_AT = WRAPPED_AT + NONCE_BYTES + KEY_BYTES + TAG_BYTES;
const SEALED_BYTES_MIN = CONTENT_AT + NONCE_BYTES + TAG_BYTES;

/**
 * Encrypts contents at rest: AES-256-GCM under a data key of their own, which is wrapped by the master key. Both layers
 * are bound to the place, so a value copied to another row does not open.
 */
export class SecretBox {
  readonly #masterKey: Uint8Array;
  readonly #keyId: Buffer;

  /** `masterKey` is 32 random bytes; `load` reads them from a file. */
  constructor(masterKey: Uint8Array) {
    if (masterKey.byteLength !== KEY_BYTES) throw new Error(`master key: ${masterKey.byteLength} bytes`);
    this.#masterKey = masterKey;
    this.#keyId = createHash('sha256')
      .update('drawbridge master key\0')
      .update(masterKey)
      .digest()
      .subarray(0, KEY_ID_BYTES);
  }

  /** Uses the key file at `path`, made on first use with mode 0600. Rejects with `forbidden` when others can read it. */
  static async load(path: string): Promise<SecretBox> {
    return new SecretBox(await loadMasterKey(path));
  }

  /** What to store at `place` instead of `plain`; different each time. */
  seal(plain: string | Uint8Array, place: SecretPlace): Uint8Array {
    const dataKey = randomBytes(KEY_BYTES);
    const wrapped = encrypt(this.#masterKey, dataKey, context('key', place));
    const content = encrypt(dataKey, Buffer.from(plain), context('content', place));
    dataKey.fill(0);
    return Buffer.concat([Uint8Array.of(VERSION), this.#keyId, wrapped, content]);
  }

  /** The bytes that were sealed at `place`. Throws `internal`, without a byte of content, for any other input. */
  open(sealed: Uint8Array, place: SecretPlace): Uint8Array {
    if (sealed.byteLength < SEALED_BYTES_MIN || sealed[0] !== VERSION) {
      throw cannotOpen(place, `${sealed.byteLength} bytes that no secret box has sealed`);
    }
    if (!this.#keyId.equals(sealed.subarray(1, WRAPPED_AT))) throw cannotOpen(place, 'sealed with another master key');
    try {
      const dataKey = decrypt(this.#masterKey, sealed.subarray(WRAPPED_AT, CONTENT_AT), context('key', place));
      return decrypt(dataKey, sealed.subarray(CONTENT_AT), context('content', place));
    } catch {
      throw cannotOpen(place, 'altered, or sealed for another place');
    }
  }

  /** What only the holder of the same master key can have made of `text`, for this one purpose: base64url. */
  authenticate(purpose: string, text: string): string {
    const key = createHmac('sha256', this.#masterKey).update(`drawbridge ${purpose}`).digest();
    return createHmac('sha256', key).update(text).digest('base64url');
  }

  /** `open` for what was sealed as text. */
  openText(sealed: Uint8Array, place: SecretPlace): string {
    return Buffer.from(this.open(sealed, place)).toString('utf8');
  }
}

/** nonce · ciphertext · tag */
function encrypt(key: Uint8Array, plain: Uint8Array, aad: Uint8Array): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES }).setAAD(aad);
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

function decrypt(key: Uint8Array, boxed: Uint8Array, aad: Uint8Array): Buffer {
  const nonce = boxed.subarray(0, NONCE_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES }).setAAD(aad);
  decipher.setAuthTag(boxed.subarray(-TAG_BYTES));
  return Buffer.concat([decipher.update(boxed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
}

/** JSON keeps the parts apart: no table, row and column can be read as others. */
function context(layer: 'key' | 'content', { table, row, column }: SecretPlace): Uint8Array {
  return Buffer.from(JSON.stringify(['drawbridge', VERSION, layer, table, row, column]));
}

function cannotOpen({ table, row, column }: SecretPlace, reason: string): ControlError {
  return new ControlError('internal', `${table}.${column} of row ${row}: ${reason}`);
}
