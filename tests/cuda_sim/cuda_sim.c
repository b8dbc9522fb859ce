// A simulated libcuda.so.1: what the runner of challenges uses of the CUDA driver, over memory of this machine.
//
// Kernels run as they are committed: their PTX is read and carried out, thread by thread. Whatever of PTX the kernels do
// not use is refused when a module is loaded, and so is an access outside of what was allocated.
//
// CUDA_SIM, or else the file /etc/cuda_sim, lists the GPUs: UUID,BYTES,NAME;UUID,BYTES,NAME;...
// CUDA_SIM_MEMORY names a folder in which each GPU's memory is a file, which stays when a program ends, as a GPU's does.
// CUDA_SIM_FAILS names a call that fails.
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
  SUCCESS = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  NOT_INITIALIZED = 3,
  NO_DEVICE = 100,
  INVALID_CONTEXT = 201,
  INVALID_PTX = 218,
  NOT_FOUND = 500,
  ILLEGAL_ADDRESS = 700,
};

enum { GPUS = 8, BLOCKS = 32, CODE = 4096, PARAMS = 16, REGISTERS = 512, LABELS = 64, KERNELS = 8, LINE = 256 };

struct gpu {
  unsigned char uuid[16];
  size_t bytes, used;
  char name[64], *memory; // NULL: each block is the heap's
  struct {
    char *data;
    size_t bytes;
  } blocks[BLOCKS];
  int count, failed;
};

enum op { ADD, SUB, AND, OR, XOR, SHL, SHR, MUL_LO, MUL_HI, MUL_WIDE, REM, BFE, MOV, LOAD, STORE, PARAM, BRANCH, SETP_GE,
          SETP_EQ, SETP_NE, RETURN };

// An operand: a register, or a number.
struct operand {
  int is_register, wide;
  uint64_t value;
};

struct instruction {
  enum op op;
  int bits, target; // of a store: what is written is operands[1]
  int wide;         // whether the target has 64 bits
  int guard;        // predicate register, -1: none
  struct operand operands[3];
};

struct kernel {
  char name[32];
  int params, length;
  struct instruction code[CODE];
};

struct module {
  int count;
  struct kernel kernels[KERNELS];
};

static struct gpu gpus[GPUS];
static int gpu_count, is_ready;
static __thread struct gpu *current;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// --- devices and memory

static void map_memory(struct gpu *gpu) {
  const char *folder = getenv("CUDA_SIM_MEMORY");
  char path[4096];
  if (!folder) return;
  snprintf(path, sizeof path, "%s/%d", folder, (int)(gpu - gpus));
  int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || ftruncate(file, (off_t)gpu->bytes)) abort();
  gpu->memory = mmap(NULL, gpu->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (gpu->memory == MAP_FAILED) abort();
  close(file);
}

static int fails(const char *call) {
  const char *named = getenv("CUDA_SIM_FAILS");
  return named && !strcmp(named, call);
}

static const char *listed_gpus(void) {
  static char text[4096];
  const char *listed = getenv("CUDA_SIM");
  int file = listed ? -1 : open("/etc/cuda_sim", O_RDONLY);
  if (file < 0) return listed;
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  return length > 0 ? text : NULL;
}

int cuInit(unsigned flags) {
  const char *listed = listed_gpus();
  if (flags) return INVALID_VALUE;
  pthread_mutex_lock(&lock);
  if (!is_ready && listed) {
    char *text = strdup(listed), *rest = text, *item;
    while ((item = strsep(&rest, ";")) && gpu_count < GPUS) {
      struct gpu *gpu = &gpus[gpu_count++];
      const char *digits = strsep(&item, ",") + strlen("GPU-");
      for (int i = 0; i < 16; i++) {
        if (*digits == '-') digits++;
        sscanf(digits, "%2hhx", &gpu->uuid[i]);
        digits += 2;
      }
      gpu->bytes = strtoull(strsep(&item, ","), NULL, 10);
      snprintf(gpu->name, sizeof gpu->name, "%s", item);
      map_memory(gpu);
    }
    free(text);
  }
  is_ready = 1;
  pthread_mutex_unlock(&lock);
  return gpu_count ? SUCCESS : NO_DEVICE;
}

int cuGetErrorName(int error, const char **name) {
  *name = error == OUT_OF_MEMORY     ? "CUDA_ERROR_OUT_OF_MEMORY"
          : error == ILLEGAL_ADDRESS ? "CUDA_ERROR_ILLEGAL_ADDRESS"
          : error == INVALID_PTX     ? "CUDA_ERROR_INVALID_PTX"
                                     : "CUDA_ERROR_UNKNOWN";
  return SUCCESS;
}

int cuDeviceGetCount(int *count) {
  *count = gpu_count;
  return is_ready ? SUCCESS : NOT_INITIALIZED;
}

int cuDeviceGet(int *device, int ordinal) {
  *device = ordinal;
  return ordinal >= 0 && ordinal < gpu_count ? SUCCESS : INVALID_VALUE;
}

int cuDeviceGetUuid(unsigned char *uuid, int device) {
  memcpy(uuid, gpus[device].uuid, 16);
  return SUCCESS;
}

int cuDeviceGetName(char *name, int length, int device) {
  snprintf(name, (size_t)length, "%s", gpus[device].name);
  return SUCCESS;
}

int cuDeviceTotalMem_v2(size_t *bytes, int device) {
  *bytes = gpus[device].bytes;
  return SUCCESS;
}

int cuDevicePrimaryCtxRetain(struct gpu **context, int device) {
  *context = &gpus[device];
  return SUCCESS;
}

int cuCtxSetCurrent(struct gpu *context) {
  current = context;
  return SUCCESS;
}

int cuCtxSynchronize(void) { return !current ? INVALID_CONTEXT : current->failed; }

int cuMemAlloc_v2(uint64_t *pointer, size_t bytes) {
  if (!current) return INVALID_CONTEXT;
  if (!bytes || current->count == BLOCKS) return INVALID_VALUE;
  if (bytes > current->bytes - current->used) return OUT_OF_MEMORY;
  char *data = current->memory ? current->memory + current->used : malloc(bytes);
  if (!data) return OUT_OF_MEMORY;
  if (!current->memory) memset(data, 0xa5, bytes); // as a GPU's: whatever was there
  current->used += bytes;
  current->blocks[current->count].data = data;
  current->blocks[current->count++].bytes = bytes;
  *pointer = (uint64_t)data;
  return SUCCESS;
}

// The memory at an address of the current GPU; NULL where it has none.
static void *at(uint64_t address, size_t bytes) {
  for (int i = 0; i < current->count; i++) {
    uint64_t first = (uint64_t)current->blocks[i].data;
    if (address >= first && address - first <= current->blocks[i].bytes &&
        bytes <= current->blocks[i].bytes - (address - first))
      return (void *)address;
  }
  return NULL;
}

int cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
  if (!current) return INVALID_CONTEXT;
  *total = current->bytes;
  *free_bytes = current->bytes - current->used;
  return SUCCESS;
}

int cuMemsetD32_v2(uint64_t target, unsigned value, size_t count) {
  if (!current) return INVALID_CONTEXT;
  if (fails(__func__)) return ILLEGAL_ADDRESS;
  uint32_t *data = at(target, count * 4);
  if (!data) return INVALID_VALUE;
  for (size_t i = 0; i < count; i++) data[i] = value;
  return SUCCESS;
}

int cuMemcpyDtoH_v2(void *target, uint64_t source, size_t bytes) {
  if (!current) return INVALID_CONTEXT;
  if (current->failed) return current->failed;
  void *data = at(source, bytes);
  if (!data) return INVALID_VALUE;
  memcpy(target, data, bytes);
  return SUCCESS;
}

// --- reading PTX

// What an operation's name begins with, and what it is here. Types that make no difference are left out.
static const struct {
  const char *name;
  enum op op;
} OPS[] = {
    {"add.s32", ADD},         {"add.s64", ADD},        {"sub.s32", SUB},         {"sub.s64", SUB},
    {"and.b32", AND},         {"and.b64", AND},        {"or.b32", OR},           {"or.b64", OR},
    {"xor.b32", XOR},         {"xor.b64", XOR},        {"shl.b32", SHL},         {"shl.b64", SHL},
    {"shr.u32", SHR},         {"shr.u64", SHR},        {"mul.lo.s32", MUL_LO},   {"mul.lo.s64", MUL_LO},
    {"mul.hi.u32", MUL_HI},   {"mul.hi.u64", MUL_HI},  {"mul.wide.u32", MUL_WIDE}, {"rem.u32", REM},
    {"rem.u64", REM},         {"bfe.u32", BFE},        {"mov.u32", MOV},         {"mov.u64", MOV},
    {"cvt.u32.u64", MOV},     {"cvt.u64.u32", MOV},    {"cvta.to.global.u64", MOV}, {"ld.global.u32", LOAD},
    {"ld.global.u64", LOAD},  {"st.global.u32", STORE}, {"st.global.u64", STORE}, {"ld.param.u64", PARAM},
    {"bra", BRANCH},          {"bra.uni", BRANCH},     {"setp.ge.u64", SETP_GE}, {"setp.eq.s32", SETP_EQ},
    {"setp.eq.s64", SETP_EQ}, {"setp.ne.s32", SETP_NE}, {"setp.ne.s64", SETP_NE}, {"ret", RETURN},
};

// Registers by kind, then special ones.
enum { PREDICATE = 0, NARROW = 32, WIDE = 128, CTAID = 500, NTID = 501, TID = 502 };

static int read_operand(const char *text, struct operand *operand) {
  int number, length = 0;
  operand->is_register = 1;
  operand->wide = 0;
  if (!strcmp(text, "%ctaid.x")) return operand->value = CTAID, 1;
  if (!strcmp(text, "%ntid.x")) return operand->value = NTID, 1;
  if (!strcmp(text, "%tid.x")) return operand->value = TID, 1;
  if (sscanf(text, "%%rd%d%n", &number, &length) == 1 && !text[length] && number < CTAID - WIDE)
    return operand->value = (uint64_t)(WIDE + number), operand->wide = 1;
  if (sscanf(text, "%%r%d%n", &number, &length) == 1 && !text[length] && number < WIDE - NARROW)
    return operand->value = (uint64_t)(NARROW + number), 1;
  if (sscanf(text, "%%p%d%n", &number, &length) == 1 && !text[length] && number < NARROW)
    return operand->value = (uint64_t)(PREDICATE + number), 1;
  char *end;
  operand->is_register = 0;
  operand->value = (uint64_t)strtoll(text, &end, 10);
  return *text && !*end;
}

struct reading {
  struct kernel *kernel;
  char labels[LABELS][32], wanted[CODE][32];
  int places[LABELS], count;
};

static int read_instruction(struct reading *reading, char *line) {
  struct kernel *kernel = reading->kernel;
  if (kernel->length == CODE) return 0;
  struct instruction *made = &kernel->code[kernel->length];
  struct operand guard;
  made->guard = -1;
  if (*line == '@') {
    char *name = strsep(&line, " \t");
    if (!line || !read_operand(name + 1, &guard)) return 0;
    made->guard = (int)guard.value;
  }
  char *name = strsep(&line, " \t"), *words[4];
  int known = 0, count = 0;
  for (size_t i = 0; i < sizeof OPS / sizeof *OPS; i++)
    if (!strcmp(OPS[i].name, name)) made->op = OPS[i].op, known = 1;
  if (!known) return 0;
  made->bits = strstr(name, "64") && strcmp(name, "cvt.u32.u64") ? 64 : 32;
  for (char *word; line && (word = strsep(&line, ", \t[]"));)
    if (*word && count < 4) words[count++] = word;
  if (made->op == RETURN) return count == 0 && ++kernel->length;
  if (made->op == BRANCH) {
    if (count != 1) return 0;
    snprintf(reading->wanted[kernel->length], 32, "%s", words[0]);
    return ++kernel->length;
  }
  struct operand target;
  int first = 1;
  if (made->op == STORE) { // [address], value
    if (count != 2) return 0;
    first = 0;
  } else {
    if (count < 2 || !read_operand(words[0], &target) || !target.is_register) return 0;
    made->target = (int)target.value;
    made->wide = target.wide;
  }
  if (made->op == PARAM) {
    char *place = strrchr(words[1], '_');
    made->operands[0].value = place ? (uint64_t)atoi(place + 1) : PARAMS;
    return made->operands[0].value < (uint64_t)kernel->params && ++kernel->length;
  }
  for (int i = first; i < count; i++) {
    char *offset = made->op == LOAD || (made->op == STORE && i == 0) ? strchr(words[i], '+') : NULL;
    if (offset) *offset++ = 0;
    if (!read_operand(words[i], &made->operands[i - first])) return 0;
    if (offset) made->operands[2].value = (uint64_t)strtoll(offset, NULL, 10);
  }
  return ++kernel->length;
}

static int resolve(struct reading *reading) {
  for (int i = 0; i < reading->kernel->length; i++) {
    if (reading->kernel->code[i].op != BRANCH) continue;
    int found = 0;
    for (int label = 0; label < reading->count; label++)
      if (!strcmp(reading->labels[label], reading->wanted[i]))
        reading->kernel->code[i].target = reading->places[label], found = 1;
    if (!found) return 0;
  }
  return 1;
}

static int read_line(struct module *module, struct reading *reading, char *line) {
  line += strspn(line, " \t");
  char *comment = strstr(line, "//");
  if (comment) *comment = 0;
  size_t length = strlen(line);
  while (length && strchr(" \t;", line[length - 1])) line[--length] = 0;
  if (!length || *line == '{' || *line == ')' || !strncmp(line, ".reg", 4) || !strncmp(line, ".pragma", 7) ||
      !strncmp(line, ".version", 8) || !strncmp(line, ".target", 7) || !strncmp(line, ".address_size 64", 16))
    return 1;
  if (sscanf(line, ".visible .entry %31[a-z](", module->kernels[module->count].name) == 1) {
    reading->kernel = &module->kernels[module->count];
    reading->count = 0;
    return ++module->count < KERNELS;
  }
  if (!reading->kernel) return 0;
  if (!strncmp(line, ".param .u64", 11)) return ++reading->kernel->params <= PARAMS;
  if (*line == '}') return resolve(reading);
  if (*line == '$' && line[length - 1] == ':') {
    if (reading->count == LABELS) return 0;
    line[length - 1] = 0;
    snprintf(reading->labels[reading->count], 32, "%s", line);
    reading->places[reading->count++] = reading->kernel->length;
    return 1;
  }
  return read_instruction(reading, line);
}

int cuModuleLoadData(struct module **loaded, const char *text) {
  struct module *module = calloc(1, sizeof *module);
  struct reading *reading = calloc(1, sizeof *reading);
  int is_good = 1;
  for (const char *end; *text && is_good; text = *end ? end + 1 : end) {
    char line[LINE];
    end = strchrnul(text, '\n');
    snprintf(line, sizeof line, "%.*s", (int)(end - text), text);
    is_good = end - text < LINE && read_line(module, reading, line);
    if (!is_good) fprintf(stderr, "cuda_sim: cannot read: %.*s\n", (int)(end - text), text);
  }
  free(reading);
  *loaded = module;
  return is_good ? SUCCESS : INVALID_PTX;
}

int cuModuleGetFunction(struct kernel **kernel, struct module *module, const char *name) {
  for (int i = 0; i < module->count; i++)
    if (!strcmp(module->kernels[i].name, name)) return *kernel = &module->kernels[i], SUCCESS;
  return NOT_FOUND;
}

// --- carrying it out

static uint64_t cut(uint64_t value, int bits) { return bits == 64 ? value : (uint32_t)value; }

// One thread; SUCCESS or ILLEGAL_ADDRESS.
static int carry_out(const struct kernel *kernel, void **arguments, uint64_t *registers) {
  for (int place = 0; place < kernel->length; place++) {
    const struct instruction *now = &kernel->code[place];
    if (now->guard >= 0 && !registers[now->guard]) continue;
    uint64_t a, b, c, made = 0;
    const struct operand *operands = now->operands;
    a = operands[0].is_register ? registers[operands[0].value] : operands[0].value;
    b = operands[1].is_register ? registers[operands[1].value] : operands[1].value;
    c = operands[2].is_register ? registers[operands[2].value] : operands[2].value;
    if (now->op != STORE && now->op != LOAD) a = cut(a, now->op == MOV ? 64 : now->bits), b = cut(b, now->bits);
    switch (now->op) {
    case ADD: made = a + b; break;
    case SUB: made = a - b; break;
    case AND: made = a & b; break;
    case OR: made = a | b; break;
    case XOR: made = a ^ b; break;
    case SHL: made = b < (uint64_t)now->bits ? a << b : 0; break;
    case SHR: made = b < (uint64_t)now->bits ? a >> b : 0; break;
    case MUL_LO: made = a * b; break;
    case MUL_HI: made = (uint64_t)(((unsigned __int128)a * b) >> now->bits); break;
    case MUL_WIDE: made = a * b; break;
    case REM: made = b ? a % b : ~0ull; break;
    case BFE: made = (a >> b) & ((1ull << c) - 1); break;
    case MOV: made = a; break;
    case SETP_GE: made = a >= b; break;
    case SETP_EQ: made = a == b; break;
    case SETP_NE: made = a != b; break;
    case PARAM: made = *(uint64_t *)arguments[operands[0].value]; break;
    case LOAD:
    case STORE: {
      size_t bytes = (size_t)now->bits / 8;
      void *data = at(a + operands[2].value, bytes);
      if (!data) return ILLEGAL_ADDRESS;
      if (now->op == STORE) {
        memcpy(data, &b, bytes);
        continue;
      }
      memcpy(&made, data, bytes);
      break;
    }
    case BRANCH: place = now->target - 1; continue;
    case RETURN: return SUCCESS;
    }
    registers[now->target] = cut(made, now->wide ? 64 : 32);
  }
  return SUCCESS;
}

int cuLaunchKernel(struct kernel *kernel, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                   unsigned block_y, unsigned block_z, unsigned shared, void *stream, void **arguments, void **extra) {
  if (!current) return INVALID_CONTEXT;
  if (!grid_x || grid_y != 1 || grid_z != 1 || block_y != 1 || block_z != 1 || block_x > 1024 || shared || stream || extra)
    return INVALID_VALUE;
  for (unsigned block = 0; block < grid_x; block++)
    for (unsigned thread = 0; thread < block_x; thread++) {
      uint64_t registers[REGISTERS];
      memset(registers, 0xa5, sizeof registers);
      registers[CTAID] = block;
      registers[NTID] = block_x;
      registers[TID] = thread;
      // As the driver: what goes wrong in a kernel is said by a later call.
      if (!current->failed) current->failed = carry_out(kernel, arguments, registers);
    }
  return SUCCESS;
}
