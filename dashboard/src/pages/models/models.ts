/** What a model costs and can, and a request to one as the code that does the same. */
import type { schema } from '@neurogrid/sdk';

import { decimalUsdc, microUsdc } from '../../design/format';

export interface Turn {
  readonly role: 'user' | 'assistant';
  readonly content: string;
}

/** As they are typed; empty: the model's own default. */
export interface ChatSettings {
  readonly system: string;
  readonly temperature: string;
  readonly maxTokens: string;
  readonly seed: string;
}

export const USUAL: ChatSettings = { system: '', temperature: '', maxTokens: '200', seed: '' };

const UNITS: Readonly<Record<string, string>> = {
  input_per_million: 'per million tokens read',
  cached_input_per_million: 'per million tokens known before',
  output_per_million: 'per million tokens written',
  per_image: 'per image',
  per_audio_second: 'per second of sound',
  per_request: 'per request',
};

/** The most that is asked for what it does, one line for each unit; by the hour where it has no server. */
export function prices({ pricing }: schema.ModelView): string[] {
  const units = Object.entries(pricing.units).map(([unit, price]) => `${price} USDC ${UNITS[unit] ?? unit.replaceAll('_', ' ')}`);
  return units.length > 0 ? units : [`at most ${pricing.max_per_hour} USDC an hour`];
}

/** How it can be tried here; null: it can't be. */
export function way(model: schema.ModelView): 'chat' | 'image' | 'transcription' | 'embedding' | null {
  if (model.type === 'text') return 'chat';
  if (model.type === 'image') return 'image';
  if (model.type === 'audio') return 'transcription';
  return 'embedding';
}

/** What is wrong with each setting; empty: nothing. */
export function wrong({ temperature, maxTokens, seed }: ChatSettings): Readonly<Record<'temperature' | 'maxTokens' | 'seed', string>> {
  const isWhole = (text: string): boolean => text === '' || /^\d{1,9}$/.test(text);
  return {
    temperature: temperature === '' || (/^\d(\.\d{1,3})?$/.test(temperature) && Number(temperature) <= 2) ? '' : 'Give a number from 0 to 2, such as 0.7.',
    maxTokens: isWhole(maxTokens) && maxTokens !== '0' ? '' : 'Give a whole number, such as 200.',
    seed: isWhole(seed) ? '' : 'Give a whole number, or leave it empty.',
  };
}

/** The body of `POST /v1/chat/completions`. */
export function chatRequest(model: string, settings: ChatSettings, turns: readonly Turn[]): schema.ChatRequest {
  const { system, temperature, maxTokens, seed } = settings;
  return {
    model,
    messages: [...(system.trim() === '' ? [] : [{ role: 'system', content: system }]), ...turns] as schema.ChatRequest['messages'],
    ...(temperature !== '' && { temperature: Number(temperature) }),
    ...(maxTokens !== '' && { max_tokens: Number(maxTokens) }),
    ...(seed !== '' && { seed: Number(seed) }),
  };
}

export type Language = 'curl' | 'python' | 'javascript';

/** The same request as a program that runs as it is printed, once `NEUROGRID_API_KEY` is set. */
export function code(language: Language, base: string, request: schema.ChatRequest): string {
  const json = JSON.stringify({ ...request, stream: true }, null, 2);
  if (language === 'curl') {
    return `curl -N ${base}/v1/chat/completions \\
  -H "Authorization: Bearer $NEUROGRID_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '${json.replaceAll("'", "'\\''")}'`;
  }
  if (language === 'python') {
    return `import os
from openai import OpenAI

client = OpenAI(base_url="${base}/v1", api_key=os.environ["NEUROGRID_API_KEY"])
stream = client.chat.completions.create(${python(request)}
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)`;
  }
  return `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${base}/v1", apiKey: process.env.NEUROGRID_API_KEY });
const stream = await client.chat.completions.create(${json});
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");`;
}

// Of the values that a request here has (texts, numbers, lists of messages), JSON is also Python.
function python(request: schema.ChatRequest): string {
  return [...Object.entries(request), ['stream', true] as const]
    .map(([name, value]) => `\n    ${name}=${value === true ? 'True' : JSON.stringify(value)},`)
    .join('');
}

/** `12 tokens read, 34 written, 0.000123 USDC`. */
export function usage(of: schema.OpenAiUsage): string {
  const written = of.completion_tokens ?? of.total_tokens - of.prompt_tokens;
  return `${String(of.prompt_tokens)} tokens read, ${String(written)} written, ${decimalUsdc(BigInt(of.cost_micro_usdc))} USDC`;
}

/** What answers have cost together. */
export function together(costs: readonly string[]): string {
  return decimalUsdc(costs.reduce((sum, cost) => sum + (microUsdc(cost) ?? 0n), 0n));
}
