import type { CallOptions, Method, Query, RequestOptions, Transport } from '../transport.js';

/** A page of a list. */
export interface Page {
  readonly total: number;
  readonly limit: number;
  readonly offset: number;
}

export interface PageQuery {
  limit?: number;
  offset?: number;
}

/** Calls that belong together. */
export class Group {
  protected readonly transport: Transport;

  constructor(transport: Transport) {
    this.transport = transport;
  }

  protected read<T>(path: string, query?: object, options?: CallOptions): Promise<T> {
    return this.call('GET', path, { ...options, query: query as Query });
  }

  protected send<T>(path: string, body?: unknown, options?: CallOptions): Promise<T> {
    return this.call('POST', path, { ...options, body });
  }

  protected call<T>(method: Method, path: string, options?: RequestOptions): Promise<T> {
    return this.transport.request<T>(method, `/api/v1${path}`, options);
  }

  /** Every item of a list that comes in pages; one that moves while it is read may be met twice. */
  protected async *every<Name extends string, T>(
    name: Name,
    query: PageQuery | undefined,
    list: (query: PageQuery) => Promise<Page & Readonly<Record<Name, readonly T[]>>>,
  ): AsyncGenerator<T, void> {
    for (let offset = query?.offset ?? 0; ; ) {
      const page = await list({ limit: 100, ...query, offset });
      const items: readonly T[] = page[name];
      yield* items;
      offset += items.length;
      if (items.length === 0 || offset >= page.total) return;
    }
  }
}
