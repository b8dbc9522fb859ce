// The arithmetic of a challenge, as marketplace/neurogrid_marketplace/challenge_arithmetic.py does it to check the
// answer. Included by the kernels, which know no C library, and by the runner.
#pragma once

typedef unsigned int u32;
typedef unsigned long long u64;

#ifdef __CUDA__
#define EVERYWHERE __attribute__((host)) __attribute__((device)) static inline
#else
#define EVERYWHERE static inline
#endif

// Matrices are DIMENSION by DIMENSION, over the integers modulo PRIME. The largest prime below 2^29: DIMENSION products
// and one word more add up in 64 bits, so that an entry takes one division.
enum { DIMENSION = 32, TILE_WORDS = DIMENSION * DIMENSION };
#define TILE_BYTES (TILE_WORDS * sizeof(u32))
#define PRIME 536870909u

// What a word is drawn by: tiles count from 0; the constants of rounds and the starts of walks have places of their own.
#define ROUND_PLACE (1ull << 63)
#define WALK_PLACE (1ull << 62)

// splitmix64's last step: each bit of the answer depends on all of `x`.
EVERYWHERE u64 mix(u64 x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// The word at `place`, below PRIME. The key is drawn for one device of one challenge.
EVERYWHERE u32 word(u64 key0, u64 key1, u64 place) {
  return (u32)((mix(mix(place + key0) ^ key1) >> 32) % PRIME);
}

// What entry `column` of a walk's vector adds to the number that chooses the next tile.
EVERYWHERE u64 direction(u32 entry, u32 column) { return mix(entry + ((u64)column << 32)); }
