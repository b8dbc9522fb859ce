// A machine without a GPU: its memory and its cores.
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"

enum { THREADS_MAX = 1024 };

// What one thread does: tiles and walks number `first`, first + `stride`, ...
struct share {
  const struct work *work;
  struct outcome *outcome;
  u32 *tiles;
  const u32 *constants;
  u64 first, stride;
};

// target = source * source + constant.
__attribute__((target_clones("avx2", "default"))) static void square(u32 *target, const u32 *source,
                                                                      const u32 *constant) {
  for (u32 row = 0; row < DIMENSION; row++) {
    u64 sums[DIMENSION];
    for (u32 column = 0; column < DIMENSION; column++) sums[column] = constant[row * DIMENSION + column];
    for (u32 k = 0; k < DIMENSION; k++) {
      u64 left = source[row * DIMENSION + k];
      for (u32 column = 0; column < DIMENSION; column++) sums[column] += left * source[k * DIMENSION + column];
    }
    for (u32 column = 0; column < DIMENSION; column++)
      target[row * DIMENSION + column] = (u32)(sums[column] % PRIME);
  }
}

// next = vector * tile.
__attribute__((target_clones("avx2", "default"))) static void multiply(u32 *next, const u32 *vector, const u32 *tile) {
  u64 sums[DIMENSION] = {0};
  for (u32 k = 0; k < DIMENSION; k++)
    for (u32 column = 0; column < DIMENSION; column++)
      sums[column] += (u64)vector[k] * tile[k * DIMENSION + column];
  for (u32 column = 0; column < DIMENSION; column++) next[column] = (u32)(sums[column] % PRIME);
}

static u64 direction_of(const u32 *vector) {
  u64 sum = 0;
  for (u32 column = 0; column < DIMENSION; column++) sum += direction(vector[column], column);
  return sum;
}

static void *fill(void *argument) {
  const struct share *share = argument;
  const struct work *work = share->work;
  u32 scratch[2][TILE_WORDS];
  for (u64 tile = share->first; tile < work->tiles; tile += share->stride) {
    u32 *now = scratch[0], *next = scratch[1];
    for (u32 i = 0; i < TILE_WORDS; i++) now[i] = word(work->key0, work->key1, tile * TILE_WORDS + i);
    for (u64 round = 0; round < work->rounds; round++) {
      square(next, now, share->constants + round * TILE_WORDS);
      u32 *swapped = now;
      now = next;
      next = swapped;
    }
    memcpy(share->tiles + tile * TILE_WORDS, now, TILE_BYTES);
  }
  return NULL;
}

static void *walk(void *argument) {
  const struct share *share = argument;
  const struct work *work = share->work;
  for (u64 number = share->first; number < work->walks; number += share->stride) {
    u32 vector[DIMENSION], next[DIMENSION];
    for (u32 i = 0; i < DIMENSION; i++)
      vector[i] = word(work->key0, work->key1, WALK_PLACE + number * DIMENSION + i);
    for (u64 step = 0; step < work->steps; step++) {
      multiply(next, vector, share->tiles + direction_of(vector) % work->tiles * TILE_WORDS);
      memcpy(vector, next, sizeof vector);
    }
    share->outcome->numbers[number] = (u32)(direction_of(vector) >> 32);
  }
  return NULL;
}

// Have every thread do its share.
static int on_all(void *(*task)(void *), struct share share, unsigned threads) {
  struct share shares[THREADS_MAX];
  pthread_t handles[THREADS_MAX];
  for (unsigned i = 0; i < threads; i++) {
    shares[i] = share;
    shares[i].first = i;
    shares[i].stride = threads;
    if (pthread_create(&handles[i], NULL, task, &shares[i])) {
      for (unsigned begun = 0; begun < i; begun++) pthread_join(handles[begun], NULL);
      return -1;
    }
  }
  for (unsigned i = 0; i < threads; i++) pthread_join(handles[i], NULL);
  return 0;
}

void run_on_cpu(const struct work *work, struct outcome *outcome) {
  u64 words = work->rounds * TILE_WORDS;
  size_t bytes = work->tiles * TILE_BYTES;
  unsigned threads = work->threads > THREADS_MAX ? THREADS_MAX : work->threads;
  strcpy(outcome->name, "CPU");
  outcome->memory_bytes = (u64)sysconf(_SC_PHYS_PAGES) * (u64)sysconf(_SC_PAGE_SIZE);
  u32 *tiles = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  u32 *constants = mmap(NULL, words * sizeof(u32), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (tiles == MAP_FAILED || constants == MAP_FAILED) {
    fail(outcome, EXIT_MEMORY, "%zu bytes of memory cannot be had", bytes);
    return;
  }
  for (u64 i = 0; i < words; i++) constants[i] = word(work->key0, work->key1, ROUND_PLACE + i);
  struct share share = {work, outcome, tiles, constants, 0, 0};
  u64 began_ms = now_ms();
  int failed = on_all(fill, share, threads);
  outcome->fill_ms = now_ms() - began_ms;
  began_ms = now_ms();
  failed = failed || on_all(walk, share, threads);
  outcome->walk_ms = now_ms() - began_ms;
  munmap(tiles, bytes);
  munmap(constants, words * sizeof(u32));
  if (failed) fail(outcome, EXIT_DEVICE, "%u threads cannot be had", threads);
}
