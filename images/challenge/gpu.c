// A GPU, through the CUDA driver's own library, which the node's container runtime puts beside us. No toolkit: the kernels
// are PTX text, which the driver compiles for whatever GPU there is.
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

typedef int CUresult;
typedef int CUdevice;
typedef u64 CUdeviceptr;
typedef struct CUctx *CUcontext;
typedef struct CUmod *CUmodule;
typedef struct CUfunc *CUfunction;
typedef struct {
  unsigned char bytes[16];
} CUuuid;
enum { CUDA_ERROR_OUT_OF_MEMORY = 2 };

// What is used of it, by the names under which the library has it.
#define DRIVER(X)                                                                                                      \
  X(cuInit, (unsigned))                                                                                                \
  X(cuGetErrorName, (CUresult, const char **))                                                                         \
  X(cuDeviceGetCount, (int *))                                                                                         \
  X(cuDeviceGet, (CUdevice *, int))                                                                                    \
  X(cuDeviceGetUuid, (CUuuid *, CUdevice))                                                                             \
  X(cuDeviceGetName, (char *, int, CUdevice))                                                                          \
  X(cuDeviceTotalMem_v2, (size_t *, CUdevice))                                                                         \
  X(cuDevicePrimaryCtxRetain, (CUcontext *, CUdevice))                                                                 \
  X(cuCtxSetCurrent, (CUcontext))                                                                                      \
  X(cuCtxSynchronize, (void))                                                                                          \
  X(cuModuleLoadData, (CUmodule *, const void *))                                                                      \
  X(cuModuleGetFunction, (CUfunction *, CUmodule, const char *))                                                       \
  X(cuMemAlloc_v2, (CUdeviceptr *, size_t))                                                                            \
  X(cuMemcpyDtoH_v2, (void *, CUdeviceptr, size_t))                                                                    \
  X(cuLaunchKernel, (CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, \
                     void **))

#define DECLARE(name, arguments) CUresult(*name) arguments;
struct driver {
  DRIVER(DECLARE)
};

__asm__(".section .rodata\n"
        "kernels_ptx: .incbin \"kernels.ptx\"\n"
        ".byte 0\n"
        ".previous\n");
extern const char kernels_ptx[];

enum {
  GPUS_MAX = 64,
  THREADS = 256,
  SQUARE_ENTRIES = 16, // of one thread (kernels.cu)
  // Tiles that are worked on at a time, so that what is between two rounds stays in the GPU's cache: twice 32 MiB.
  CHUNK_TILES = 8192,
};

struct gpu {
  const struct driver *cu;
  struct outcome *outcome;
  CUfunction draw, square, direct, step;
};

static int look(struct driver *found, struct outcome *outcome) {
  // Where the NVIDIA runtime puts it; the first needs the loader's cache, which an image from scratch may lack.
  static const char *const places[] = {"libcuda.so.1", "/usr/lib/x86_64-linux-gnu/libcuda.so.1",
                                       "/usr/lib64/libcuda.so.1"};
  void *library = NULL;
  for (size_t i = 0; !library && i < sizeof places / sizeof *places; i++)
    library = dlopen(places[i], RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    fail(outcome, EXIT_NO_DEVICE, "there is no CUDA driver in this container: %s", dlerror());
    return 0;
  }
#define FIND(name, arguments)                                                                                          \
  if (!(*(void **)&found->name = dlsym(library, #name))) {                                                              \
    fail(outcome, EXIT_DEVICE, "the CUDA driver has no %s", #name);                                                    \
    return 0;                                                                                                       \
  }
  DRIVER(FIND)
  return 1;
}

// The driver, found once: the threads of several GPUs ask one after another.
static const struct driver *driver(struct outcome *outcome) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static struct driver found;
  static int is_found;
  pthread_mutex_lock(&lock);
  if (!is_found) is_found = look(&found, outcome);
  pthread_mutex_unlock(&lock);
  return is_found ? &found : NULL;
}

// Whether a call succeeded; says so in the outcome if not.
static int is_done(struct gpu *gpu, CUresult result, const char *what) {
  if (!result) return 1;
  const char *name = NULL;
  gpu->cu->cuGetErrorName(result, &name);
  int status = result == CUDA_ERROR_OUT_OF_MEMORY ? EXIT_MEMORY : EXIT_DEVICE;
  fail(gpu->outcome, status, "%s: %s (%d)", what, name ? name : "unknown", result);
  return 0;
}
#define DONE(call) is_done(gpu, gpu->cu->call, #call)

static int launch(struct gpu *gpu, CUfunction kernel, u64 threads, void **arguments) {
  unsigned blocks = (unsigned)((threads + THREADS - 1) / THREADS);
  return DONE(cuLaunchKernel(kernel, blocks, 1, 1, THREADS, 1, 1, 0, NULL, arguments, NULL));
}

static int draw(struct gpu *gpu, const struct work *work, CUdeviceptr target, u64 count, u64 place) {
  u64 key0 = work->key0, key1 = work->key1;
  return launch(gpu, gpu->draw, count, (void *[]){&target, &count, &key0, &key1, &place});
}

static int fill(struct gpu *gpu, const struct work *work, CUdeviceptr tiles, CUdeviceptr constants,
                CUdeviceptr scratch[2]) {
  for (u64 first = 0; first < work->tiles; first += CHUNK_TILES) {
    u64 count = work->tiles - first < CHUNK_TILES ? work->tiles - first : CHUNK_TILES;
    CUdeviceptr final = tiles + first * TILE_BYTES;
    CUdeviceptr source = scratch[0];
    if (!draw(gpu, work, source, count * TILE_WORDS, first * TILE_WORDS)) return 0;
    for (u64 round = 0; round < work->rounds; round++) {
      CUdeviceptr target = round + 1 == work->rounds ? final : scratch[(round + 1) % 2];
      CUdeviceptr constant = constants + round * TILE_BYTES;
      u64 threads = count * TILE_WORDS / SQUARE_ENTRIES;
      if (!launch(gpu, gpu->square, threads, (void *[]){&target, &source, &constant, &threads})) return 0;
      source = target;
    }
  }
  return DONE(cuCtxSynchronize());
}

static int walk(struct gpu *gpu, const struct work *work, CUdeviceptr tiles, CUdeviceptr vectors[2], CUdeviceptr sums,
                u64 *ends) {
  u64 walks = work->walks, count = work->tiles, threads = walks * DIMENSION;
  if (!draw(gpu, work, vectors[0], threads, WALK_PLACE)) return 0;
  for (u64 step = 0; step < work->steps; step++) {
    CUdeviceptr now = vectors[step % 2], next = vectors[(step + 1) % 2];
    if (!launch(gpu, gpu->direct, walks, (void *[]){&sums, &now, &walks}) ||
        !launch(gpu, gpu->step, threads, (void *[]){&next, &now, &sums, &tiles, &count, &threads}))
      return 0;
  }
  CUdeviceptr last = vectors[work->steps % 2];
  return launch(gpu, gpu->direct, walks, (void *[]){&sums, &last, &walks}) &&
         DONE(cuMemcpyDtoH_v2(ends, sums, walks * sizeof(u64)));
}

// The GPU with this UUID, as NVML writes it.
static int find(struct gpu *gpu, const char *uuid, CUdevice *device) {
  int count = 0;
  if (!DONE(cuDeviceGetCount(&count))) return 0;
  for (int i = 0; i < count && i < GPUS_MAX; i++) {
    CUuuid id;
    char text[64] = "GPU-", *end = text + 4;
    if (!DONE(cuDeviceGet(device, i)) || !DONE(cuDeviceGetUuid(&id, *device))) return 0;
    for (int byte = 0; byte < 16; byte++)
      end += sprintf(end, "%s%02x", byte == 4 || byte == 6 || byte == 8 || byte == 10 ? "-" : "", id.bytes[byte]);
    if (!strcmp(text, uuid)) return 1;
  }
  fail(gpu->outcome, EXIT_NO_DEVICE, "none of %d GPUs is %s", count, uuid);
  return 0;
}

void run_on_gpu(const struct work *work, struct outcome *outcome) {
  struct gpu here = {.cu = driver(outcome), .outcome = outcome}, *gpu = &here;
  CUdevice device;
  CUcontext context;
  CUmodule module;
  size_t memory_bytes = 0;
  if (!gpu->cu || !DONE(cuInit(0)) || !find(gpu, work->uuid, &device)) return;
  if (!DONE(cuDeviceGetName(outcome->name, sizeof outcome->name, device)) ||
      !DONE(cuDeviceTotalMem_v2(&memory_bytes, device)))
    return;
  outcome->memory_bytes = memory_bytes;
  if (!DONE(cuDevicePrimaryCtxRetain(&context, device)) || !DONE(cuCtxSetCurrent(context)) ||
      !DONE(cuModuleLoadData(&module, kernels_ptx)) ||
      !DONE(cuModuleGetFunction(&gpu->draw, module, "draw")) ||
      !DONE(cuModuleGetFunction(&gpu->square, module, "square")) ||
      !DONE(cuModuleGetFunction(&gpu->direct, module, "direct")) ||
      !DONE(cuModuleGetFunction(&gpu->step, module, "step")))
    return;
  // Nothing is freed: the process ends with its answer.
  u64 chunk = work->tiles < CHUNK_TILES ? work->tiles : CHUNK_TILES;
  u64 vectors_bytes = work->walks * DIMENSION * sizeof(u32);
  CUdeviceptr tiles, constants, scratch[2], vectors[2], sums;
  u64 *ends = calloc(work->walks, sizeof(u64));
  if (!ends) {
    fail(outcome, EXIT_MEMORY, "no memory for %llu walks", work->walks);
    return;
  }
  if (!DONE(cuMemAlloc_v2(&tiles, work->tiles * TILE_BYTES)) ||
      !DONE(cuMemAlloc_v2(&constants, work->rounds * TILE_BYTES)) ||
      !DONE(cuMemAlloc_v2(&scratch[0], chunk * TILE_BYTES)) || !DONE(cuMemAlloc_v2(&scratch[1], chunk * TILE_BYTES)) ||
      !DONE(cuMemAlloc_v2(&vectors[0], vectors_bytes)) || !DONE(cuMemAlloc_v2(&vectors[1], vectors_bytes)) ||
      !DONE(cuMemAlloc_v2(&sums, work->walks * sizeof(u64))) ||
      !draw(gpu, work, constants, work->rounds * TILE_WORDS, ROUND_PLACE))
    return;
  u64 began_ms = now_ms();
  if (!fill(gpu, work, tiles, constants, scratch)) return;
  outcome->fill_ms = now_ms() - began_ms;
  began_ms = now_ms();
  if (!walk(gpu, work, tiles, vectors, sums, ends)) return;
  outcome->walk_ms = now_ms() - began_ms;
  for (u64 i = 0; i < work->walks; i++) outcome->numbers[i] = (u32)(ends[i] >> 32);
}
