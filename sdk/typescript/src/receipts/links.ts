// A receipt as a file: its one byte form, its hash chain, and every signature in it.

import { demand, ReceiptInvalidError } from './invalid.js';
import { byteForm, canonical, isMap, parseJson, type Json, type JsonMap } from './json.js';
import { fromHex, hashOf, isSigned, joined, publicKeyOf, sha256, utf8, type Bytes } from './keys.js';
import { NO_HASH, type Messages } from './messages.js';
import { parse, parseExactly } from './parse.js';
import { LINK_KINDS } from './tables.js';

const VERSION = 2;
const BYTES_MAX = 4 * 1024 * 1024;
const TOP = 'coordinator lease_id links network signature task_id version';
const LINK = 'content hash kind previous';
const ENVELOPE_VERSION = 1;
const ENVELOPE = 'body network recipient sender sent_at_ms sequence session signature type version';
const ENVELOPE_TEXTS = ['network', 'type', 'sender', 'recipient', 'session', 'signature'];
const ENVELOPE_NUMBERS = ['sequence', 'sent_at_ms'];

/** One link, whose signature holds. */
export interface Link<T> {
  readonly message: T;
  /** Of the message: what later ones name it by. */
  readonly hash: string;
  /** Who signed it, for whom and when; of what only the receipt's own signature covers, the coordinator. */
  readonly sender: string;
  readonly sentAtMs: number | null;
  /** Of the message with its signature; bids are named by it. */
  readonly envelopeHash: string;
  /** As it came. */
  readonly body: JsonMap;
}

export interface Parts {
  readonly network: string;
  readonly coordinator: string;
  readonly taskId: string;
  readonly leaseId: string;
  /** Who signed the accept. */
  readonly nodeId: string;
  /** How many links there are. */
  readonly size: number;
  readonly links: { readonly [Kind in keyof Messages]: readonly Link<Messages[Kind]>[] };
}

/** The link of a kind that every receipt has once. */
export function one<T>(links: readonly Link<T>[]): Link<T> {
  const [link] = links;
  demand(link !== undefined, 'a link is missing');
  return link;
}

/** Read a receipt: bytes, hashes, order and signatures. What is left to check is whether its parts fit. */
export async function readParts(receipt: string | ArrayBuffer | Uint8Array): Promise<Parts> {
  const document = readDocument(receipt);
  const [network, coordinator] = [text(document, 'network'), text(document, 'coordinator')];
  const rest = unsigned(document);
  const signed = utf8(`neurogrid:receipt:v${VERSION}\0${canonical(rest)}`);
  const key = publicKeyOf(coordinator);
  demand(
    await isSigned(key, signed, fromHex(text(document, 'signature'), 64)),
    "the coordinator's signature over the receipt fails",
  );
  const contents = await chained(document['links'] ?? null);
  const links = {} as Record<string, Link<JsonMap>[]>;
  for (const { kind, least, most, signer } of LINK_KINDS) {
    const found = contents.filter(([name]) => name === kind);
    demand(
      found.length >= least && found.length <= most,
      `${found.length} links are a ${kind}; a receipt has ${least} to ${most}`,
    );
    links[kind] = [];
    for (const [number, [, content]] of found.entries()) {
      links[kind].push(
        signer === 'receipt'
          ? await covered(kind, content, coordinator)
          : await enveloped(kind, number, content, network),
      );
    }
  }
  const nodeId = links['accept']?.[0]?.sender ?? '';
  checkParties(contents, coordinator, nodeId);
  return {
    network,
    coordinator,
    taskId: text(document, 'task_id'),
    leaseId: text(document, 'lease_id'),
    nodeId,
    size: contents.length,
    links: links as unknown as Parts['links'],
  };
}

function readDocument(receipt: string | ArrayBuffer | Uint8Array): JsonMap {
  const source = typeof receipt === 'string' ? receipt : decoded(receipt);
  demand(source.length <= BYTES_MAX && utf8(source).length <= BYTES_MAX, `larger than ${BYTES_MAX} bytes`);
  const document = parseJson(source);
  demand(isMap(document) && fields(document) === TOP, `a receipt has exactly the fields ${TOP}`);
  const { version } = document;
  demand(
    version === VERSION,
    `a receipt of version ${canonical(version ?? null)}; this program knows ${VERSION}: verify it with the release that wrote it`,
  );
  const form = `${byteForm(document)}\n`;
  if (form !== source) {
    let at = 0;
    while (at < source.length && form[at] === source[at]) at += 1;
    throw new ReceiptInvalidError(`not in the one valid byte form, from character ${at} on`);
  }
  return document;
}

function decoded(receipt: ArrayBuffer | Uint8Array): string {
  demand(receipt.byteLength <= BYTES_MAX, `larger than ${BYTES_MAX} bytes`);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(receipt);
  } catch {
    throw new ReceiptInvalidError('not the JSON of a receipt: no UTF-8');
  }
}

/** Kind and content of each link, their order and hashes checked. */
async function chained(links: Json): Promise<[string, Json][]> {
  demand(Array.isArray(links), 'links is not a list');
  const found: [string, Json][] = [];
  let previous = NO_HASH;
  let place = 0;
  for (const [number, item] of links.entries()) {
    demand(isMap(item) && fields(item) === LINK, `link ${number} has not exactly the fields ${LINK}`);
    const { hash, ...body } = item;
    const kind = text(item, 'kind');
    demand(
      item['previous'] === previous && hash === (await hashOf(body)),
      `link ${number} (${kind}) breaks the hash chain`,
    );
    const at = LINK_KINDS.findIndex((each) => each.kind === kind);
    demand(
      at >= 0,
      `link ${number} is a ${kind.slice(0, 40)}, which this program does not know: verify it with the release that wrote it`,
    );
    demand(at >= place, `link ${number}: a ${kind} stands at a wrong place`);
    [previous, place] = [text(item, 'hash'), at];
    found.push([kind, item['content'] ?? null]);
  }
  return found;
}

/** A link that the receipt's own signature covers. */
async function covered(kind: string, content: Json, coordinator: string): Promise<Link<JsonMap>> {
  const message = parseExactly(kind === 'settlement' ? 'SettlementStatement' : kind, content);
  const hash = await hashOf(message);
  return { message, hash, sender: coordinator, sentAtMs: null, envelopeHash: hash, body: message };
}

async function enveloped(kind: string, number: number, content: Json, network: string): Promise<Link<JsonMap>> {
  demand(isMap(content) && fields(content) === ENVELOPE, `${kind} ${number}: an envelope has exactly the fields ${ENVELOPE}`);
  for (const name of ENVELOPE_TEXTS) text(content, name);
  const numbers = ENVELOPE_NUMBERS.map((name) => content[name]);
  demand(numbers.every((each) => typeof each === 'number'), `${kind} ${number}: a number is none`);
  demand(content['version'] === ENVELOPE_VERSION, `${kind} ${number}: another version of the protocol`);
  demand(content['network'] === network, `${kind} ${number}: made for another network`);
  demand(content['type'] === kind, `a ${text(content, 'type').slice(0, 40)} stands where a ${kind} should`);
  const rest = unsigned(content);
  const signed = utf8(`neurogrid:${kind}:v${ENVELOPE_VERSION}\0${canonical(rest)}`);
  const signature: Bytes = fromHex(text(content, 'signature'), 64);
  const sender = text(content, 'sender');
  demand(
    await isSigned(publicKeyOf(sender), signed, signature),
    `${kind} ${number}: the Ed25519 signature does not match`,
  );
  const body = content['body'];
  demand(isMap(body), `${kind} ${number}: no body`);
  const message = parse(kind, body);
  return {
    message,
    hash: await hashOf(message),
    sender,
    sentAtMs: content['sent_at_ms'] as number,
    envelopeHash: await sha256(joined(signed, signature)),
    body,
  };
}

function checkParties(contents: readonly [string, Json][], coordinator: string, nodeId: string): void {
  for (const [kind, content] of contents) {
    const signer = LINK_KINDS.find((each) => each.kind === kind)?.signer;
    if (signer === 'receipt' || !isMap(content)) continue;
    const { sender, recipient } = content;
    const fits =
      signer === 'coordinator'
        ? sender === coordinator && recipient === nodeId
        : recipient === coordinator && (signer === 'any node' || sender === nodeId);
    demand(fits, `a ${kind} was not signed between this receipt's coordinator and the node that accepted`);
  }
}

/** What the signature of a document is over. */
function unsigned({ signature, ...rest }: JsonMap): JsonMap {
  demand(typeof signature === 'string', 'signature is not a string');
  return rest;
}

function fields(map: JsonMap): string {
  return Object.keys(map).sort().join(' ');
}

function text(map: JsonMap, name: string): string {
  const value = map[name];
  demand(typeof value === 'string', `${name} is not a string`);
  return value;
}
