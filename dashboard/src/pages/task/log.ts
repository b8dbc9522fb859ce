/** A job's log as it is shown: text alone, its end alone, however much a job writes. */

const LINES_MAX = 5000;
const LINE_CHARACTERS_MAX = 2000;
const CHARACTERS_MAX = 1_000_000;
const ESCAPE = 0x1b;
const BELL = 0x07;

export interface Log {
  readonly lines: readonly string[];
  /** Of the last line, which has no end yet; as it came. */
  readonly open: string;
  /** Lines that were there and are not shown any more. */
  readonly dropped: number;
}

export const NO_LOG: Log = { lines: [], open: '', dropped: 0 };

/** The log after more of it came. */
export function appended(log: Log, text: string): Log {
  const pieces = text.split('\n');
  const first = cut(log.open + (pieces[0] ?? ''));
  if (pieces.length === 1) return { ...log, open: first };
  const fresh = [first, ...pieces.slice(1, -1)];
  // From the end, so that what would fall out again at once is not even cleaned.
  const lines: string[] = [];
  let size = 0;
  const keep = (line: string): boolean => {
    size += line.length + 1;
    if (lines.length === LINES_MAX || size > CHARACTERS_MAX) return false;
    lines.push(line);
    return true;
  };
  let isRoom = true;
  for (let at = fresh.length - 1; at >= 0 && isRoom; at -= 1) isRoom = keep(plain(cut(fresh[at] ?? '')));
  for (let at = log.lines.length - 1; at >= 0 && isRoom; at -= 1) isRoom = keep(log.lines[at] ?? '');
  const dropped = log.dropped + fresh.length + log.lines.length - lines.length;
  return { lines: lines.reverse(), open: cut(pieces.at(-1) ?? ''), dropped };
}

/** What is shown and copied. */
export function shownText({ lines, open }: Log): string {
  const rest = plain(open);
  return [...lines, ...(rest === '' ? [] : [rest])].join('\n');
}

function cut(line: string): string {
  return line.length <= LINE_CHARACTERS_MAX ? line : `${line.slice(0, LINE_CHARACTERS_MAX - 1)}…`;
}

/** A line without colours, cursor movements, and marks that turn the direction of reading; what a carriage return wrote over is gone. */
export function plain(line: string): string {
  const ended = line.endsWith('\r') ? line.slice(0, -1) : line;
  const text = ended.slice(ended.lastIndexOf('\r') + 1);
  let result = '';
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === ESCAPE) at = afterEscape(text, at);
    else if (!isHidden(code)) result += text.charAt(at);
  }
  return result;
}

function isHidden(code: number): boolean {
  const isControl = (code < 0x20 && code !== 0x09) || (code >= 0x7f && code < 0xa0);
  return isControl || (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

/** Where the last character of the escape sequence at `start` is. */
function afterEscape(text: string, start: number): number {
  const kind = text.charAt(start + 1);
  let at = start + 2;
  if (kind === '[') {
    while (at < text.length && !(text.charCodeAt(at) >= 0x40 && text.charCodeAt(at) <= 0x7e)) at += 1;
    return at;
  }
  if (kind === ']') {
    while (at < text.length && text.charCodeAt(at) !== BELL && text.charCodeAt(at) !== ESCAPE) at += 1;
    return text.charCodeAt(at) === ESCAPE ? at + 1 : at;
  }
  return start + 1;
}
