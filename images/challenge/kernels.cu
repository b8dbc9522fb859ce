// What a GPU does. Every thread works out its own words and waits for no other: no shared memory, no barrier.
//
// In C as far as there is a choice (clang-16, no CUDA toolkit): ptx.py makes kernels.ptx of it, which is committed.
// A row of THREADS threads is a block; the last one may have threads too many.
#include "field.h"

#define KERNEL extern "C" __attribute__((global)) void

// Entries that one thread of `square` works out: so many rows times so many columns, so that each word that is read
// is used as often.
enum { SIDE = 4, ACROSS = DIMENSION / SIDE };

static __attribute__((device)) inline u64 thread() {
  return (u64)(u32)__nvvm_read_ptx_sreg_ctaid_x() * (u32)__nvvm_read_ptx_sreg_ntid_x() +
         (u32)__nvvm_read_ptx_sreg_tid_x();
}

// words[i] = the word at place + i.
KERNEL draw(u32 *words, u64 count, u64 key0, u64 key1, u64 place) {
  u64 i = thread();
  if (i < count) words[i] = word(key0, key1, place + i);
}

// target = source * source + constant, for each of count / (SIDE * SIDE) threads' share of the tiles.
KERNEL square(u32 *target, const u32 *source, const u32 *constant, u64 threads) {
  u64 i = thread();
  if (i >= threads) return;
  const u32 *tile = source + i / (ACROSS * ACROSS) * TILE_WORDS;
  u32 row = (u32)(i / ACROSS % ACROSS) * SIDE, column = (u32)(i % ACROSS);
  u64 sums[SIDE][SIDE];
#pragma unroll
  for (int r = 0; r < SIDE; r++)
#pragma unroll
    for (int c = 0; c < SIDE; c++) sums[r][c] = constant[(row + r) * DIMENSION + column + c * ACROSS];
#pragma unroll 1
  for (u32 k = 0; k < DIMENSION; k++) {
    u32 left[SIDE], right[SIDE];
#pragma unroll
    for (int r = 0; r < SIDE; r++) left[r] = tile[(row + r) * DIMENSION + k];
#pragma unroll
    for (int c = 0; c < SIDE; c++) right[c] = tile[k * DIMENSION + column + c * ACROSS];
#pragma unroll
    for (int r = 0; r < SIDE; r++)
#pragma unroll
      for (int c = 0; c < SIDE; c++) sums[r][c] += (u64)left[r] * right[c];
  }
  u32 *out = target + (tile - source);
#pragma unroll
  for (int r = 0; r < SIDE; r++)
#pragma unroll
    for (int c = 0; c < SIDE; c++)
      out[(row + r) * DIMENSION + column + c * ACROSS] = (u32)(sums[r][c] % PRIME);
}

// sums[w] = the number that says where walk w goes next; at its end, what it came to.
KERNEL direct(u64 *sums, const u32 *vectors, u64 walks) {
  u64 w = thread();
  if (w >= walks) return;
  u64 sum = 0;
#pragma unroll 1
  for (u32 column = 0; column < DIMENSION; column++) sum += direction(vectors[w * DIMENSION + column], column);
  sums[w] = sum;
}

// One step of all walks: next = vector * the tile that it leads to.
KERNEL step(u32 *next, const u32 *vectors, const u64 *sums, const u32 *tiles, u64 count, u64 threads) {
  u64 i = thread();
  if (i >= threads) return;
  u64 w = i / DIMENSION;
  const u32 *tile = tiles + sums[w] % count * TILE_WORDS + i % DIMENSION;
  const u32 *vector = vectors + w * DIMENSION;
  u64 sum = 0;
#pragma unroll 4
  for (u32 k = 0; k < DIMENSION; k++) sum += (u64)vector[k] * tile[k * DIMENSION];
  next[i] = (u32)(sum % PRIME);
}
