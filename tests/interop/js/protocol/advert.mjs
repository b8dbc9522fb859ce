// "Discovery" of docs/protocol.md.

import { canonical, sha256 } from './canonical.mjs';
import { isSigned, publicKeyOf } from './keys.mjs';
import { Malformed, parse } from './page.mjs';

const VERSION = 1;
const LIFETIME_MS_MAX = 7 * 24 * 3600 * 1000;
const CLOCK_TOLERANCE_MS = 120_000;
const FIELDS = 'addresses coordinator expires_at_ms issued_at_ms network signature version';

/** Where coordinators of a network are announced: a rendezvous point's namespace. */
export function meetingPlace(network) {
  return `neurogrid:coordinators:${network}`;
}

/** The same as a key of a DHT: a multihash. */
export function providerKey(network) {
  return Buffer.from(`1220${sha256(meetingPlace(network))}`, 'hex');
}

/** What an advert's signature covers. */
export function advertText(advert) {
  const { signature, ...rest } = advert;
  return Buffer.from(`neurogrid:advert:v1\0${canonical(rest)}`);
}

/** An advert that is its coordinator's, for this network and for now. */
export function checkAdvert(value, network, nowMs) {
  if (Object.keys(value).sort().join(' ') !== FIELDS) throw new Malformed('other fields');
  const advert = parse('Advert', value);
  if (advert.version !== VERSION) throw new Malformed(`version ${advert.version}`);
  if (advert.network !== network) throw new Malformed(`made for ${advert.network}`);
  const { coordinator, issued_at_ms: issued, expires_at_ms: expires } = advert;
  if (!advert.addresses.every((address) => address.endsWith(`/p2p/${coordinator}`))) {
    throw new Malformed('an address of another peer');
  }
  if (expires <= issued || expires - issued > LIFETIME_MS_MAX) throw new Malformed('a wrong lifetime');
  if (issued > nowMs + CLOCK_TOLERANCE_MS || expires <= nowMs) throw new Malformed('not for now');
  if (!isSigned(publicKeyOf(coordinator), advertText(advert), Buffer.from(advert.signature, 'hex'))) {
    throw new Malformed('a wrong signature');
  }
  return advert;
}
