// The runner of a challenge: fill the memory of every device, walk over it, write down where the walks end.
//
//   challenge FILE ROUNDS STEPS DEVICE...
//
// FILE gets the answer as JSON. A DEVICE is UUID,TILES,WALKS,KEY,THREADS; the UUID is a GPU's as NVML writes it, or "cpu";
// the key is 32 hexadecimal digits. All devices work at once. docs/challenges.md says what is worked out and why.
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "device.h"

enum { DEVICES_MAX = 64, KEY_DIGITS = 32, UUID_BYTES = 64 };

// More than any device of ours has or does; what is beyond is a mistake in the command.
static const u64 TILES_MAX = 1ull << 28, WALKS_MAX = 1ull << 20, STEPS_MAX = 1ull << 20, ROUNDS_MAX = 64;

struct device {
  char uuid[UUID_BYTES];
  struct work work;
  struct outcome outcome;
};

static struct device devices[DEVICES_MAX];

int fail(struct outcome *outcome, int status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(outcome->error, sizeof outcome->error, format, arguments);
  va_end(arguments);
  outcome->status = status;
  return status;
}

u64 now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (u64)now.tv_sec * 1000 + (u64)now.tv_nsec / 1000000;
}

// A decimal number from `least` to `most`.
static int number(const char *text, u64 least, u64 most, u64 *value) {
  char *end;
  *value = strtoull(text, &end, 10);
  return text[0] >= '0' && text[0] <= '9' && !*end && *value >= least && *value <= most;
}

static int parse(char *text, struct device *device) {
  char *parts[5], *rest = text, key[KEY_DIGITS / 2 + 1], *end;
  for (int i = 0; i < 5; i++)
    if (!(parts[i] = strsep(&rest, ","))) return 0;
  u64 threads;
  struct work *work = &device->work;
  if (rest || strlen(parts[0]) >= UUID_BYTES || !number(parts[1], 1, TILES_MAX, &work->tiles) ||
      !number(parts[2], 1, WALKS_MAX, &work->walks) || !number(parts[4], 1, 1024, &threads))
    return 0;
  if (strlen(parts[3]) != KEY_DIGITS || strspn(parts[3], "0123456789abcdef") != KEY_DIGITS) return 0;
  strcpy(device->uuid, parts[0]);
  memcpy(key, parts[3], KEY_DIGITS / 2);
  key[KEY_DIGITS / 2] = 0;
  work->uuid = device->uuid;
  work->key0 = strtoull(key, &end, 16);
  work->key1 = strtoull(parts[3] + KEY_DIGITS / 2, &end, 16);
  work->threads = (unsigned)threads;
  device->outcome.numbers = calloc(work->walks, sizeof(u32));
  return device->outcome.numbers != NULL;
}

static void *run(void *argument) {
  struct device *device = argument;
  (strcmp(device->uuid, "cpu") ? run_on_gpu : run_on_cpu)(&device->work, &device->outcome);
  return NULL;
}

// A name as JSON may hold it: whatever would need an escape becomes a space.
static void write_text(FILE *file, const char *text) {
  for (; *text; text++) fputc(*text >= ' ' && *text <= '~' && *text != '"' && *text != '\\' ? *text : ' ', file);
}

static int write_answer(const char *path, int count) {
  FILE *file = fopen(path, "w");
  if (!file) return 0;
  fprintf(file, "{\"devices\":[");
  for (int i = 0; i < count; i++) {
    const struct device *device = &devices[i];
    const struct outcome *outcome = &device->outcome;
    fprintf(file, "%s{\"uuid\":\"%s\",\"name\":\"", i ? "," : "", device->uuid);
    write_text(file, outcome->name);
    fprintf(file, "\",\"memory_bytes\":%llu,\"fill_ms\":%llu,\"walk_ms\":%llu,\"numbers\":\"", outcome->memory_bytes,
            outcome->fill_ms, outcome->walk_ms);
    for (u64 w = 0; w < device->work.walks; w++) fprintf(file, "%08" PRIx32, outcome->numbers[w]);
    fprintf(file, "\"}");
  }
  fprintf(file, "]}\n");
  int failed = ferror(file);
  return !fclose(file) && !failed;
}

int main(int argc, char **argv) {
  u64 rounds, steps;
  int count = argc - 4;
  if (count < 1 || count > DEVICES_MAX || !number(argv[2], 1, ROUNDS_MAX, &rounds) ||
      !number(argv[3], 1, STEPS_MAX, &steps)) {
    fprintf(stderr, "usage: challenge FILE ROUNDS STEPS DEVICE...\n");
    return EXIT_USAGE;
  }
  pthread_t threads[DEVICES_MAX];
  for (int i = 0; i < count; i++) {
    if (!parse(argv[i + 4], &devices[i])) {
      fprintf(stderr, "not a device: UUID,TILES,WALKS,KEY,THREADS is one\n");
      return EXIT_USAGE;
    }
    devices[i].work.rounds = rounds;
    devices[i].work.steps = steps;
  }
  // Each first calls into the driver on a thread of its own, so that all of them work at the same time.
  for (int i = 0; i < count; i++)
    if (pthread_create(&threads[i], NULL, run, &devices[i])) {
      fprintf(stderr, "no thread can be had\n");
      return EXIT_DEVICE;
    }
  int status = 0;
  for (int i = 0; i < count; i++) {
    const struct outcome *outcome = &devices[i].outcome;
    pthread_join(threads[i], NULL);
    if (outcome->status) {
      fprintf(stderr, "%s: %s\n", devices[i].uuid, outcome->error);
      status = outcome->status;
    } else {
      printf("%s: filled %llu bytes in %llu ms, walked in %llu ms\n", devices[i].uuid,
             devices[i].work.tiles * TILE_BYTES, outcome->fill_ms, outcome->walk_ms);
    }
  }
  if (status) return status;
  if (write_answer(argv[1], count)) return 0;
  fprintf(stderr, "the answer cannot be written to %s\n", argv[1]);
  return EXIT_OUTPUT;
}
