// OpenAI's own client against a coordinator: OPENAI_BASE_URL and OPENAI_API_KEY say which, RECORDING is a file with speech.
//
// Prints a line of JSON for each thing that it has seen; the last one is {"done": true}.
import assert from 'node:assert/strict'
import { File } from 'node:buffer'
import { readFile } from 'node:fs/promises'

import OpenAI from 'openai'

// Node.js has it from version 20 on.
globalThis.File ??= File

const client = new OpenAI({ maxRetries: 0 })
const say = (seen) => console.log(JSON.stringify(seen))
const messages = [{ role: 'user', content: 'To be, or not to be?' }]

const models = []
for await (const model of client.models.list()) models.push(model.id)
say({ models })

const stream = await client.chat.completions.create({
  model: 'bard-1m', messages, max_completion_tokens: 12, temperature: 0, stream: true, stream_options: { include_usage: true }
})
let streamed = ''
let pieces = 0
let cost = null
let finish = null
let usage = null
for await (const chunk of stream) {
  streamed += chunk.choices[0]?.delta.content ?? ''
  pieces += chunk.choices[0]?.delta.content ? 1 : 0
  cost = chunk.neurogrid?.cost_micro_usdc ?? cost
  finish = chunk.choices[0]?.finish_reason ?? finish
  usage = chunk.usage ?? usage
}
assert.ok(streamed.length > 0)
say({ streamed, pieces, finish, usage, cost })

// Who leaves in the middle of an answer.
const long = await client.completions.create({ model: 'bard-1m', prompt: 'To be', max_tokens: 500, seed: 3, stream: true })
let left = 0
for await (const _ of long) {
  left += 1
  if (left === 3) break
}
assert.ok(long.controller.signal.aborted)
say({ left })

const { data: vectors } = await client.embeddings.create({ model: 'all-minilm-l6-v2', input: 'A cat.' })
say({ dimensions: vectors[0].embedding.length })

const sound = await readFile(process.env.RECORDING)
const recording = () => ({ model: 'whisper-tiny-en', file: new File([sound], 'speech.wav') })
const heard = await client.audio.transcriptions.create(recording())
say({ heard: heard.text })
let told = ''
let transcript = null
for await (const event of await client.audio.transcriptions.create({ ...recording(), stream: true })) {
  if (event.type === 'transcript.text.delta') told += event.delta
  if (event.type === 'transcript.text.done') transcript = event
}
assert.equal(told, transcript.text)
say({ told, seconds: transcript.usage.seconds })

await assert.rejects(client.chat.completions.create({ model: 'bard-1', messages }), (error) => {
  assert.ok(error instanceof OpenAI.NotFoundError)
  say({ unknown: error.code, param: error.param, message: error.message })
  return true
})
const tools = [{ type: 'function', function: { name: 'look' } }]
await assert.rejects(client.chat.completions.create({ model: 'bard-1m', messages, tools }), OpenAI.BadRequestError)
const stranger = new OpenAI({ apiKey: 'ng_wrong', maxRetries: 0 })
await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError)

// Not long enough to be written down.
const abort = new AbortController()
setTimeout(() => abort.abort(), 500)
await assert.rejects(
  client.audio.transcriptions.create(recording(), { signal: abort.signal }),
  OpenAI.APIUserAbortError
)
say({ done: true })
