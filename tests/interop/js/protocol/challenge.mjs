// What a challenge has a device work out, from docs/challenges.md: slow, and without anything but BigInt.

import { canonical, sha256 } from './canonical.mjs';

const DIMENSION = 32;
const WORDS = DIMENSION * DIMENSION;
const PRIME = (1n << 29n) - 3n;
const MASK = (1n << 64n) - 1n;
const ROUND_PLACE = 1n << 63n;
const WALK_PLACE = 1n << 62n;

function mix(number) {
  let x = number & MASK;
  x = ((x ^ (x >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
  x = ((x ^ (x >> 27n)) * 0x94d049bb133111ebn) & MASK;
  return x ^ (x >> 31n);
}

/** The key of the device at a place of a challenge, as the command has it. */
export function keyText(challenge, place) {
  const { uuid } = challenge.devices[place];
  return sha256(`neurogrid:challenge:${challenge.seed}:${place}:${uuid}`).slice(0, 32);
}

/** The command of a challenge's job. */
export function command(challenge) {
  const devices = challenge.devices.map((device, place) =>
    [device.uuid, device.tiles, device.walks, keyText(challenge, place), device.threads].join(','),
  );
  return ['/outputs/answer.json', String(challenge.rounds), String(challenge.steps), ...devices];
}

/** What one device of a challenge works with. */
export class Device {
  #key;
  #rounds;
  #tiles = new Map();

  constructor(challenge, place) {
    const text = keyText(challenge, place);
    this.#key = [BigInt(`0x${text.slice(0, 16)}`), BigInt(`0x${text.slice(16)}`)];
    this.#rounds = Number(challenge.rounds);
    this.count = BigInt(challenge.devices[place].tiles);
    this.steps = Number(challenge.steps);
  }

  words(place, count) {
    const [first, second] = this.#key;
    const at = (number) => mix(mix(BigInt(place) + BigInt(number) + first) ^ second);
    return Array.from({ length: count }, (_, number) => (at(number) >> 32n) % PRIME);
  }

  /** A tile, row by row. */
  tile(number) {
    if (!this.#tiles.has(number)) {
      let made = this.words(number * BigInt(WORDS), WORDS);
      for (let round = 0; round < this.#rounds; round++) {
        const constant = this.words(ROUND_PLACE + BigInt(round * WORDS), WORDS);
        made = made.map((_, at) => {
          const row = at - (at % DIMENSION);
          let sum = constant[at];
          for (let k = 0; k < DIMENSION; k++) sum += made[row + k] * made[k * DIMENSION + (at % DIMENSION)];
          return sum % PRIME;
        });
      }
      this.#tiles.set(number, made);
    }
    return this.#tiles.get(number);
  }

  tileHash(number) {
    return sha256(canonical(this.tile(number).map(Number)));
  }

  /** Where a walk ends. */
  walkEnd(number) {
    const direction = (vector) =>
      vector.reduce((sum, entry, column) => sum + mix(entry + (BigInt(column) << 32n)), 0n) & MASK;
    let vector = this.words(WALK_PLACE + BigInt(number * DIMENSION), DIMENSION);
    for (let step = 0; step < this.steps; step++) {
      const here = this.tile(direction(vector) % this.count);
      vector = vector.map((_, column) => {
        let sum = 0n;
        for (let k = 0; k < DIMENSION; k++) sum += vector[k] * here[k * DIMENSION + column];
        return sum % PRIME;
      });
    }
    return Number(direction(vector) >> 32n);
  }
}
