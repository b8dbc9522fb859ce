// JSON as canonical.mjs takes it: `JSON.parse` turns 1.0 into 1 and rounds large integers, so it can't tell.

const TOKEN = /\s*(?:([{}[\],:])|("(?:[^"\\]|\\.)*")|(-?\d[\d.eE+-]*)|(true|false|null))/y;
const WORDS = { true: true, false: false, null: null };

/** Read a text; integers beyond 2^53 become BigInt, and what is no integer is refused. */
export function parseJson(text) {
  let at = 0;

  function next() {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (!match) throw new SyntaxError(`no JSON at ${at}`);
    at = TOKEN.lastIndex;
    return match;
  }

  function peek() {
    const before = at;
    const [, mark] = next();
    at = before;
    return mark;
  }

  /** Items up to the closing mark, each read by `item`. */
  function items(close, item) {
    if (peek() === close) return void next();
    for (;;) {
      item();
      const [, mark] = next();
      if (mark === close) return undefined;
      if (mark !== ',') throw new SyntaxError(`no comma at ${at}`);
    }
  }

  function value() {
    const [, mark, string, number, word] = next();
    if (string) return JSON.parse(string);
    if (number) return integer(number);
    if (word) return WORDS[word];
    if (mark === '[') {
      const list = [];
      items(']', () => list.push(value()));
      return list;
    }
    if (mark !== '{') throw new SyntaxError(`no value at ${at}`);
    const map = {};
    items('}', () => {
      const [, , key] = next();
      if (!key || next()[1] !== ':') throw new SyntaxError(`no key at ${at}`);
      map[JSON.parse(key)] = value();
    });
    return map;
  }

  const result = value();
  if (text.slice(at).trim()) throw new SyntaxError(`more than one value at ${at}`);
  return result;
}

function integer(text) {
  if (!/^-?(0|[1-9]\d*)$/.test(text)) throw new SyntaxError(`${text} is no integer`);
  const exact = BigInt(text);
  return Number.isSafeInteger(Number(exact)) ? Number(exact) : exact;
}
