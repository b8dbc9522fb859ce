// What a device does for a challenge: two of them do, and tests/images/test_challenge.py holds both to the same answers.
#pragma once

#include <stddef.h>

#include "field.h"

// One device's share. `tiles` are filled and then walked over: `walks` times `steps`, each step by what it finds.
struct work {
  const char *uuid;
  u64 tiles, walks, steps, rounds;
  u64 key0, key1;
  unsigned threads; // of a CPU
};

// What came of it. `numbers`: where each walk ended, room for `walks`.
struct outcome {
  u32 *numbers;
  u64 fill_ms, walk_ms, memory_bytes;
  char name[128];
  int status; // an EXIT_* below, 0: done
  char error[256];
};

// How the runner ends when it has no answer (marketplace `challenge.py` reads them).
enum { EXIT_USAGE = 2, EXIT_NO_DEVICE = 3, EXIT_MEMORY = 4, EXIT_DEVICE = 5, EXIT_OUTPUT = 6 };

void run_on_cpu(const struct work *work, struct outcome *outcome);
void run_on_gpu(const struct work *work, struct outcome *outcome);

// Say why there is no answer; returns `status`.
int fail(struct outcome *outcome, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
u64 now_ms(void);
