import { apiError, ConnectionFailedError } from '../errors.js';
import type {
  ChatRequest,
  EmbeddingRequest,
  ImageAnswer,
  ImageGeneration,
  ModelListView,
  ModelView,
  OpenAiChatCompletion,
  OpenAiEmbeddings,
  OpenAiUsage,
  TextAnswer,
  TextGeneration,
  TranscriptionAnswer,
} from '../schema.js';
import type { ServerSentEvent } from '../sse.js';
import type { CallOptions } from '../transport.js';
import { Group } from './group.js';

/** A piece of a streamed chat. */
export interface ChatChunk {
  readonly id: string;
  readonly model: string;
  readonly choices: readonly {
    readonly index: number;
    readonly delta: { readonly role?: string; readonly content?: string | null; readonly tool_calls?: unknown };
    readonly finish_reason: string | null;
  }[];
  readonly usage?: OpenAiUsage | null;
}

export interface Recording {
  model: string;
  file: Blob;
  /** As `en`; left out, it is found out. */
  language?: string;
}

type Chat = Omit<ChatRequest, 'stream' | 'stream_options'>;
type Text = Omit<TextGeneration, 'stream'>;

// Longer than coordinators wait for a model by themselves.
const ANSWER_MS = 400_000;

/**
 * The models of the coordinator's catalogue. A request that has no idempotency key is not sent again when its
 * connection is lost: nothing more is computed for it, and it may be asked anew.
 */
export class Models extends Group {
  async list(query?: { type?: string; category?: string }, options?: CallOptions): Promise<readonly ModelView[]> {
    const { models } = await this.read<ModelListView>('/models', query, options);
    return models;
  }

  /** @param model its id or an alias. */
  get(model: string, options?: CallOptions): Promise<ModelView> {
    return this.call('GET', `/models/${model.split('/').map(encodeURIComponent).join('/')}`, options);
  }

  generateText(request: Text, options?: CallOptions): Promise<TextAnswer> {
    return this.send('/models/generate/text', request, asking(options));
  }

  /** A text as the model writes it, piece by piece; who stops reading pays for what came. The whole answer is returned. */
  async *streamText(request: Text, options?: CallOptions): AsyncGenerator<string, TextAnswer> {
    const stream = this.#stream('/api/v1/models/generate/text', { ...request, stream: true }, options);
    for await (const { event, data } of stream) {
      if (event === 'text') yield (JSON.parse(data) as { text: string }).text;
      if (event === 'answer') return JSON.parse(data) as TextAnswer;
    }
    throw new ConnectionFailedError(`the answer of ${request.model} broke off`);
  }

  generateImage(request: ImageGeneration, options?: CallOptions): Promise<ImageAnswer> {
    return this.send('/models/generate/image', request, asking(options));
  }

  /** What a recording says; at most 25 MiB. */
  transcribe({ model, file, language }: Recording, options?: CallOptions): Promise<TranscriptionAnswer> {
    const form = new FormData();
    form.set('model', model);
    if (language !== undefined) form.set('language', language);
    form.set('file', file, 'name' in file ? String(file.name) : 'recording');
    return this.send('/models/transcribe', form, asking(options));
  }

  /** OpenAI's chat, whole. */
  chat(request: Chat, options?: CallOptions): Promise<OpenAiChatCompletion> {
    return this.transport.request('POST', '/v1/chat/completions', { ...asking(options), body: request });
  }

  /** OpenAI's chat as the model writes it; the last piece has what it cost. */
  async *streamChat(request: Chat, options?: CallOptions): AsyncGenerator<ChatChunk, void> {
    const body = { ...request, stream: true, stream_options: { include_usage: true } };
    let isWhole = false;
    for await (const { data } of this.#stream('/v1/chat/completions', body, options)) {
      isWhole = data === '[DONE]';
      if (!isWhole) yield JSON.parse(data) as ChatChunk;
    }
    if (!isWhole) throw new ConnectionFailedError(`the answer of ${request.model} broke off`);
  }

  /** OpenAI's embeddings: at most 256 texts. */
  embed(request: EmbeddingRequest, options?: CallOptions): Promise<OpenAiEmbeddings> {
    return this.transport.request('POST', '/v1/embeddings', { ...asking(options), body: request });
  }

  /** The events of an answer; an error in its middle is thrown. */
  async *#stream(path: string, body: object, options?: CallOptions): AsyncGenerator<ServerSentEvent, void> {
    for await (const event of this.transport.stream(path, { ...options, method: 'POST', body })) {
      const said = event.data.startsWith('{') ? (JSON.parse(event.data) as Record<string, unknown>) : {};
      const error = event.event === 'error' ? said : said['error'];
      if (typeof error === 'object' && error !== null) throw refusal(error as Record<string, unknown>);
      yield event;
    }
  }
}

function asking(options: CallOptions | undefined): CallOptions {
  return { timeout: ANSWER_MS, ...options, idempotencyKey: options?.idempotencyKey ?? null };
}

function refusal({ code, message, details }: Record<string, unknown>): Error {
  return apiError({
    code: typeof code === 'string' ? code.toUpperCase() : 'INTERNAL_ERROR',
    message: typeof message === 'string' ? message : 'the answer failed',
    status: 500,
    details: (details ?? {}) as Record<string, unknown>,
    requestId: '',
  });
}
