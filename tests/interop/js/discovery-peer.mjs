// A js-libp2p peer in a DHT with neurogrid_p2p's.
//
//   node discovery-peer.mjs node                 a node of the DHT, that keeps records for others
//   node discovery-peer.mjs find ADDRESS KEY     asks the node at ADDRESS who provides KEY (a multihash, in hex), and them
//                                                for the adverts that they carry
//
// It prints one JSON object a line, first where it is reached.
import './with-resolvers.mjs'
import { identify } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { decode } from '@msgpack/msgpack'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'

const RAW = 0x55
const [role, address, key] = process.argv.slice(2)
const say = (value) => process.stdout.write(JSON.stringify(value) + '\n')

const node = await createLibp2p({
  addresses: { listen: role === 'node' ? ['/ip4/127.0.0.1/tcp/0'] : [] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  connectionGater: { denyDialMultiaddr: () => false },
  services: {
    identify: identify(),
    ping: ping(),
    dht: kadDHT({ protocol: '/ipfs/kad/1.0.0', clientMode: role !== 'node', peerInfoMapper: passthroughMapper })
  }
})
say({ addresses: node.getMultiaddrs().map(String) })

if (role === 'find') {
  await node.dial(multiaddr(address))
  const cid = CID.createV1(RAW, Digest.decode(Buffer.from(key, 'hex')))
  for await (const provider of node.contentRouting.findProviders(cid, { signal: AbortSignal.timeout(60_000) })) {
    const stream = await node.dialProtocol(provider.multiaddrs, '/neurogrid/adverts/1')
    let frame = Buffer.alloc(0)
    for await (const piece of stream) {
      frame = Buffer.concat([frame, piece.subarray()])
      if (frame.length >= 4 && frame.length >= 4 + frame.readUInt32BE(0)) break
    }
    say({ provider: provider.id.toString(), ...decode(frame.subarray(4)) })
    break
  }
  await node.stop()
}
