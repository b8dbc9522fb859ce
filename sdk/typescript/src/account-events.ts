import type { NeuroGridError } from './errors.js';
import { LiveSocket, type SocketMessage } from './socket.js';
import type { Transport } from './transport.js';

/** Something that has happened: docs/events.md lists what. Heartbeats and changes of nodes have no `sequence`. */
export interface AccountEvent extends SocketMessage {
  readonly timestamp: string;
  readonly sequence?: number;
  readonly task_id?: string;
}

export interface EventOptions {
  /** Begin after this sequence; left out: with what is to come. */
  after?: number;
  signal?: AbortSignal | null;
}

// Who does not read them has the connection made anew after the last that it has read.
const WAITING_MAX = 1_000;
const GREETINGS = ['connected', 'pong'];

/** See `NeuroGridClient.events`. */
export async function* eventsOf(
  transport: Transport,
  { after, signal }: EventOptions = {},
): AsyncGenerator<AccountEvent, void> {
  const waiting: AccountEvent[] = [];
  let wake: () => void = () => undefined;
  const state: { lost: NeuroGridError | null; isFull: boolean } = { lost: null, isFull: false };
  const socket = new LiveSocket(transport, 'native', {
    connected: () => undefined,
    message: (message) => {
      if (state.isFull || GREETINGS.includes(message.type)) return;
      const event = message as AccountEvent;
      state.isFull = waiting.push(event) >= WAITING_MAX;
      // After a break it goes on after what waits here.
      socket.after = event.sequence ?? socket.after;
      wake();
    },
    closed: (error) => {
      state.lost = error;
      wake();
    },
  });
  const leave = () => {
    wake();
  };
  signal?.addEventListener('abort', leave);
  socket.after = after ?? null;
  socket.open();
  try {
    for (;;) {
      signal?.throwIfAborted();
      const event = waiting.shift();
      if (event) {
        yield event;
      } else if (state.isFull) {
        state.isFull = false;
        socket.renew();
      } else if (state.lost) {
        throw state.lost;
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    signal?.removeEventListener('abort', leave);
    socket.close();
  }
}
