// A js-libp2p peer beside neurogrid_p2p's hosts; what it does is in its arguments.
//
//   node relay-peer.mjs relay                 relays for others
//   node relay-peer.mjs hidden RELAY          can be reached through RELAY alone, and echoes
//   node relay-peer.mjs dial ADDRESS TEXT     sends TEXT to the echo at ADDRESS
//
// It prints one JSON object a line, first where it is reached.
import './with-resolvers.mjs'
import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

const ECHO = '/test/echo/1'
const [role, address, text] = process.argv.slice(2)
const say = (value) => process.stdout.write(JSON.stringify(value) + '\n')

const node = await createLibp2p({
  addresses: { listen: { relay: ['/ip4/127.0.0.1/tcp/0'], hidden: [`${address}/p2p-circuit`], dial: [] }[role] },
  transports: [tcp(), circuitRelayTransport()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  connectionGater: { denyDialMultiaddr: () => false },
  services: { identify: identify(), ...(role === 'relay' && { relay: circuitRelayServer() }) }
})
await node.handle(ECHO, async (stream) => {
  for await (const piece of stream) stream.send(piece)
  await stream.close()
}, { runOnLimitedConnection: true })
say({ addresses: node.getMultiaddrs().map(String) })

if (role === 'dial') {
  const stream = await node.dialProtocol(multiaddr(address), ECHO, { runOnLimitedConnection: true })
  stream.send(new TextEncoder().encode(text))
  let heard = ''
  for await (const piece of stream) {
    heard += new TextDecoder().decode(piece.subarray())
    if (heard.length >= text.length) break
  }
  say({ heard })
  await node.stop()
}
