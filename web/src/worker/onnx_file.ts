/** Texts in an ONNX file: the metadata of a model, read from its protocol buffers without the rest. */

const METADATA = 14; // the field of ModelProto that holds key and value of each text
const KEY = 1, VALUE = 2;
const VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5;

/**
 * Metadata of a model, by key.
 *
 * @throws RangeError for bytes that are no protocol buffers.
 */
export function metadataOf(file: Uint8Array): Map<string, string> {
  const texts = new Map<string, string>();
  for (const [field, content] of fields(file)) {
    if (field !== METADATA) continue;
    const entry = new Map(fields(content));
    texts.set(text(entry.get(KEY)), text(entry.get(VALUE)));
  }
  return texts;
}

function text(bytes?: Uint8Array): string {
  return bytes ? new TextDecoder().decode(bytes) : "";
}

/** Number and content of the fields that hold bytes; others are passed over. */
function* fields(message: Uint8Array): Generator<[number, Uint8Array]> {
  for (let place = 0; place < message.length; ) {
    const [tag, start] = varint(message, place);
    const kind = tag % 8;
    if (kind === BYTES) {
      const [length, content] = varint(message, start);
      place = content + length;
      if (place > message.length) throw new RangeError("a field ends beyond the file");
      yield [Math.floor(tag / 8), message.subarray(content, place)];
    } else if (kind === VARINT) {
      place = varint(message, start)[1];
    } else if (kind === FIXED64 || kind === FIXED32) {
      place = start + (kind === FIXED64 ? 8 : 4);
    } else {
      throw new RangeError("a field of no known kind");
    }
  }
}

/** A number of seven bits a byte, and the place after it. */
function varint(bytes: Uint8Array, place: number): [number, number] {
  let value = 0;
  for (let factor = 1; place < bytes.length && factor < 2 ** 70; factor *= 128) {
    const byte = bytes[place++];
    value += (byte & 127) * factor;
    if (byte < 128) return [value, place];
  }
  throw new RangeError("a number without an end");
}
