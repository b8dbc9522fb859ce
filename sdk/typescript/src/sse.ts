// Server-sent events. Source: HTML Living Standard, 9.2.6 "Interpreting an event stream".

import { ConnectionFailedError } from './errors.js';

export interface ServerSentEvent {
  readonly event: string;
  readonly data: string;
  /** Null where the stream gave none. */
  readonly id: string | null;
}

// The largest that a coordinator sends is a page of a log, 1 MiB.
const CHARACTERS_MAX = 8 * 1024 * 1024;

/** The events in a stream of text; comments and unknown fields are skipped. */
export async function* readEvents(pieces: AsyncIterable<string>): AsyncGenerator<ServerSentEvent, void> {
  let [event, data, id] = ['message', [] as string[], null as string | null];
  let size = 0;
  for await (const line of lines(pieces)) {
    if (line === '') {
      if (data.length > 0) yield { event, data: data.join('\n'), id };
      [event, data, size] = ['message', [], 0];
      continue;
    }
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'event') event = value;
    else if (name === 'id') id = value;
    else if (name === 'data') {
      size += value.length;
      if (size > CHARACTERS_MAX) throw new ConnectionFailedError('an event of the stream is too large');
      data.push(value);
    }
  }
}

async function* lines(pieces: AsyncIterable<string>): AsyncGenerator<string, void> {
  let rest = '';
  for await (const piece of pieces) {
    rest += piece;
    if (rest.length > CHARACTERS_MAX) throw new ConnectionFailedError('a line of the stream is too long');
    // A carriage return at the end may be the first half of a line's end.
    const whole = rest.endsWith('\r') ? rest.slice(0, -1) : rest;
    const found = whole.split(/\r\n|\n|\r/);
    rest = (found.pop() ?? '') + rest.slice(whole.length);
    yield* found;
  }
}
