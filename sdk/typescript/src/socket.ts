import { ConnectionFailedError, type NeuroGridError } from './errors.js';
import { delayAfter } from './retry.js';
import type { Transport } from './transport.js';

/** A message of the coordinator's. */
export interface SocketMessage {
  readonly type: string;
  readonly [field: string]: unknown;
}

export interface SocketHandlers {
  /** The key was taken: from here on events come. */
  connected(message: SocketMessage): void;
  message(message: SocketMessage): void;
  /** The connection is gone; `error` where it is not made anew. */
  closed(error: NeuroGridError | null): void;
}

// RFC 6455, 7.4.1, and the coordinator's own: an unknown dialect, a key that opens nothing, one that may not read.
const FINAL_CODES = [4400, 4401, 4403];
const KEY_REFUSED = 4401;
const MESSAGE_CHARACTERS_MAX = 8 * 1024 * 1024;

/**
 * One live connection to `/ws`, made anew when it breaks, until `close`. Pings keep it and find out that it is dead;
 * after so many failures in a row it is given up.
 */
export class LiveSocket {
  readonly #transport: Transport;
  readonly #dialect: string;
  readonly #handlers: SocketHandlers;
  #socket: WebSocket | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #isClosed = false;
  /** Where to go on after a break. */
  after: number | null = null;

  constructor(transport: Transport, dialect: string, handlers: SocketHandlers) {
    this.#transport = transport;
    this.#dialect = dialect;
    this.#handlers = handlers;
  }

  open(): void {
    if (this.#isClosed || this.#socket) return;
    const { WebSocket } = this.#transport.settings;
    if (!WebSocket) {
      this.#giveUp(new ConnectionFailedError('there is no WebSocket here: give one in the options, or use Node.js 22'));
      return;
    }
    const url = this.#transport.url('/ws', { dialect: this.#dialect }).replace(/^http/, 'ws');
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.#expect(this.#transport.settings.timeout);
    socket.onopen = () => void this.#introduce(socket);
    socket.onmessage = ({ data }) => {
      this.#take(socket, data);
    };
    socket.onclose = ({ code, reason }) => {
      this.#lost(socket, code, reason);
    };
    // `onclose` follows, and knows more.
    socket.onerror = () => undefined;
  }

  send(message: Record<string, unknown>): void {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(message));
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#socket?.close(1000);
    this.#socket = null;
  }

  /** Close the connection as it is, and make it anew. */
  renew(): void {
    if (this.#socket) this.#lost(this.#socket, 1006, 'it was silent');
  }

  async #introduce(socket: WebSocket): Promise<void> {
    try {
      const token = await this.#transport.credential();
      if (socket !== this.#socket) return;
      this.send({ type: 'auth', token: token ?? '', ...(this.after !== null && { after: this.after }) });
    } catch {
      this.#lost(socket, 1006, 'no key was given');
    }
  }

  #take(socket: WebSocket, data: unknown): void {
    if (socket !== this.#socket) return;
    let message: unknown;
    try {
      if (typeof data !== 'string' || data.length > MESSAGE_CHARACTERS_MAX) return;
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (typeof message !== 'object' || message === null || typeof (message as SocketMessage).type !== 'string') return;
    const known = message as SocketMessage;
    this.#waitAndPing();
    if (known.type === 'authenticated') {
      this.#failures = 0;
      this.#handlers.connected(known);
    } else {
      this.#handlers.message(known);
    }
  }

  #expect(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.renew();
    }, ms);
  }

  #waitAndPing(): void {
    const { interval, timeout } = this.#transport.settings.heartbeat;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.send({ type: 'ping' });
      this.#expect(timeout);
    }, interval);
  }

  #lost(socket: WebSocket, code: number, reason: string): void {
    if (socket !== this.#socket) return;
    clearTimeout(this.#timer);
    this.#socket = null;
    socket.onmessage = socket.onclose = socket.onopen = null;
    if (socket.readyState <= 1) socket.close();
    if (this.#isClosed) return;
    const { reconnect, credential } = this.#transport.settings;
    this.#failures += 1;
    // A function may have another key by then.
    const isFinal = FINAL_CODES.includes(code) && !(code === KEY_REFUSED && typeof credential === 'function');
    if (isFinal || this.#failures >= reconnect.maxAttempts) {
      this.#giveUp(new ConnectionFailedError(`the live connection ended: ${reason || `code ${code}`}`));
      return;
    }
    this.#handlers.closed(null);
    this.#timer = setTimeout(() => {
      this.open();
    }, delayAfter(this.#failures, reconnect));
  }

  #giveUp(error: NeuroGridError): void {
    this.#isClosed = true;
    // The caller of `open` shall have its answer before.
    queueMicrotask(() => {
      this.#handlers.closed(error);
    });
  }
}
