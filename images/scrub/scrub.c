// Overwrite the memory of every GPU that is visible, so that the next tenant finds nothing of the last one's.
//
//   scrub COUNT
//
// COUNT is how many GPUs have to be visible. Nearly all that the driver calls free is taken in pieces and set to zero; what
// the driver keeps to itself no program can reach. A line for each GPU says how much; the exit status is 0 only if all was.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx *CUcontext;
typedef struct {
  unsigned char bytes[16];
} CUuuid;

enum { CUDA_ERROR_OUT_OF_MEMORY = 2 };
enum { EXIT_USAGE = 2, EXIT_NO_DEVICE = 3, EXIT_DEVICE = 5, EXIT_TOO_LITTLE = 6 };

// Pieces are large, so that there are few, and halved where no room is left for one. What remains at the end is less than
// the smallest: the driver gives memory out in pages of this size.
static const size_t PIECE_MAX = (size_t)1 << 30, PIECE_MIN = (size_t)2 << 20;
// Of what was free; the tables for all those pieces take a little.
static const unsigned ENOUGH_PERMILLE = 950;

#define DRIVER(X)                                   \
  X(cuInit, (unsigned))                             \
  X(cuGetErrorName, (CUresult, const char **))      \
  X(cuDeviceGetCount, (int *))                      \
  X(cuDeviceGet, (CUdevice *, int))                 \
  X(cuDeviceGetUuid, (CUuuid *, CUdevice))          \
  X(cuDevicePrimaryCtxRetain, (CUcontext *, CUdevice)) \
  X(cuCtxSetCurrent, (CUcontext))                   \
  X(cuCtxSynchronize, (void))                       \
  X(cuMemGetInfo_v2, (size_t *, size_t *))          \
  X(cuMemAlloc_v2, (CUdeviceptr *, size_t))         \
  X(cuMemsetD32_v2, (CUdeviceptr, unsigned, size_t))

#define DECLARE(name, arguments) static CUresult(*name) arguments;
DRIVER(DECLARE)

static int find_driver(void) {
  // Where the NVIDIA runtime puts it; the first needs the loader's cache, which an image from scratch may lack.
  static const char *const places[] = {"libcuda.so.1", "/usr/lib/x86_64-linux-gnu/libcuda.so.1",
                                       "/usr/lib64/libcuda.so.1"};
  void *library = NULL;
  for (size_t i = 0; !library && i < sizeof places / sizeof *places; i++)
    library = dlopen(places[i], RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    fprintf(stderr, "there is no CUDA driver in this container: %s\n", dlerror());
    return 0;
  }
#define FIND(name, arguments)                             \
  if (!(*(void **)&name = dlsym(library, #name))) {       \
    fprintf(stderr, "the CUDA driver has no %s\n", #name); \
    return 0;                                             \
  }
  DRIVER(FIND)
  return 1;
}

static int is_done(CUresult result, const char *what) {
  if (!result) return 1;
  const char *name = NULL;
  cuGetErrorName(result, &name);
  fprintf(stderr, "%s: %s (%d)\n", what, name ? name : "unknown", result);
  return 0;
}
#define DONE(call) is_done(call, #call)

// Take all that is free and set it to zero; how much, in bytes. Nothing is given back before the process ends: a piece that was
// freed would be handed out again in place of one that was not overwritten.
static int overwrite(size_t *done, size_t *free_bytes) {
  size_t total;
  *done = 0;
  if (!DONE(cuMemGetInfo_v2(free_bytes, &total))) return 0;
  for (size_t piece = PIECE_MAX; piece >= PIECE_MIN;) {
    CUdeviceptr data;
    CUresult result = cuMemAlloc_v2(&data, piece);
    if (result == CUDA_ERROR_OUT_OF_MEMORY) {
      piece /= 2;
      continue;
    }
    if (!is_done(result, "cuMemAlloc") || !DONE(cuMemsetD32_v2(data, 0, piece / 4))) return 0;
    *done += piece;
  }
  return DONE(cuCtxSynchronize());
}

int main(int argc, char **argv) {
  int wanted = argc == 2 ? atoi(argv[1]) : 0, count = 0, status = 0;
  if (wanted < 1 || wanted > 64) {
    fprintf(stderr, "usage: scrub COUNT\n");
    return EXIT_USAGE;
  }
  if (!find_driver() || !DONE(cuInit(0)) || !DONE(cuDeviceGetCount(&count))) return EXIT_NO_DEVICE;
  if (count != wanted) {
    fprintf(stderr, "%d GPUs are visible, not %d\n", count, wanted);
    return EXIT_NO_DEVICE;
  }
  for (int i = 0; i < count; i++) {
    CUdevice device;
    CUcontext context;
    CUuuid id;
    size_t done, free_bytes;
    if (!DONE(cuDeviceGet(&device, i)) || !DONE(cuDeviceGetUuid(&id, device)) ||
        !DONE(cuDevicePrimaryCtxRetain(&context, device)) || !DONE(cuCtxSetCurrent(context)) ||
        !overwrite(&done, &free_bytes))
      return EXIT_DEVICE;
    printf("GPU ");
    for (int byte = 0; byte < 16; byte++) printf("%02x", id.bytes[byte]);
    printf(": %zu of %zu free bytes overwritten\n", done, free_bytes);
    if (done < free_bytes / 1000 * ENOUGH_PERMILLE) status = EXIT_TOO_LITTLE;
  }
  if (status) fprintf(stderr, "too little was overwritten\n");
  return status;
}
