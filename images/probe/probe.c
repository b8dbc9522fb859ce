// Say, from inside a container like a job's, what a job can do there and which GPUs it has: one line of JSON.
//
//   probe [wait]
//
// With "wait" it stays until it is ended, ten minutes at most, so that it can be frozen and thawed. What the facts mean is judged by whoever
// reads them (node/neurogrid_node/container/probe.py). On a GPU nothing is begun: CUDA is asked for names alone.
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAMES_MAX = 128, UUID_BYTES = 16, STAYS_S = 600 };

typedef struct {
  unsigned char bytes[UUID_BYTES];
} CUuuid;

static void print_text(const char *text) {
  putchar('"');
  for (; *text; text++)
    // Names of the kernel's and of a driver's: nothing in them has to be quoted, and what has is left out.
    if (*text >= ' ' && *text <= '~' && *text != '"' && *text != '\\') putchar(*text);
  putchar('"');
}

static void print_field(const char *name, const char *text) {
  printf("\"%s\": ", name);
  print_text(text);
  printf(", ");
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

// The names in a folder that are a prefix and a number.
static void print_numbered(const char *folder, const char *prefix) {
  char *names[NAMES_MAX];
  int count = 0;
  DIR *opened = opendir(folder);
  for (struct dirent *entry; opened && (entry = readdir(opened)) && count < NAMES_MAX;) {
    size_t length = strlen(prefix);
    const char *number = entry->d_name + length;
    if (!strncmp(entry->d_name, prefix, length) && *number && strspn(number, "0123456789") == strlen(number))
      names[count++] = strdup(entry->d_name);
  }
  if (opened) closedir(opened);
  qsort(names, count, sizeof *names, by_name);
  putchar('[');
  for (int i = 0; i < count; i++) {
    if (i) printf(", ");
    print_text(names[i]);
  }
  putchar(']');
}

static void print_interfaces(void) {
  char *names[NAMES_MAX];
  int count = 0;
  struct if_nameindex *all = if_nameindex();
  for (struct if_nameindex *each = all; each && each->if_name && count < NAMES_MAX; each++)
    names[count++] = each->if_name;
  qsort(names, count, sizeof *names, by_name);
  printf("\"interfaces\": [");
  for (int i = 0; i < count; i++) {
    if (i) printf(", ");
    print_text(names[i]);
  }
  printf("], ");
}

static const char *outcome(int result) { return result < 0 ? strerrorname_np(errno) : "done"; }

static void print_file(const char *name, const char *first, const char *second) {
  char text[64] = "";
  int file = open(first, O_RDONLY);
  if (file < 0) file = open(second, O_RDONLY);
  ssize_t length = file < 0 ? 0 : read(file, text, sizeof text - 1);
  text[length > 0 ? length : 0] = 0;
  text[strcspn(text, "\n")] = 0;
  print_field(name, text);
}

static void print_status(void) {
  unsigned long long capabilities = 0;
  char line[256], no_new_privileges[8] = "", seccomp[8] = "";
  FILE *file = fopen("/proc/self/status", "r");
  while (file && fgets(line, sizeof line, file)) {
    if (!strncmp(line, "CapEff:", 7) || !strncmp(line, "CapBnd:", 7) || !strncmp(line, "CapPrm:", 7))
      capabilities |= strtoull(line + 7, NULL, 16);
    sscanf(line, "NoNewPrivs: %7s", no_new_privileges);
    sscanf(line, "Seccomp: %7s", seccomp);
  }
  printf("\"capabilities\": %llu, ", capabilities);
  print_field("no_new_privileges", no_new_privileges);
  print_field("seccomp", seccomp);
}

// The GPUs of NVIDIA's that a program of CUDA has here, each by the 32 digits of its UUID.
static void print_gpus(void) {
  // Where the NVIDIA runtime puts it; the first needs the loader's cache, which an image from scratch may lack.
  static const char *const places[] = {"libcuda.so.1", "/usr/lib/x86_64-linux-gnu/libcuda.so.1",
                                       "/usr/lib64/libcuda.so.1"};
  void *driver = NULL;
  for (size_t i = 0; !driver && i < sizeof places / sizeof *places; i++) driver = dlopen(places[i], RTLD_NOW);
  int (*init)(unsigned) = NULL, (*count_of)(int *) = NULL, (*device_of)(int *, int) = NULL, (*uuid_of)(CUuuid *, int) = NULL;
  if (driver) {
    *(void **)&init = dlsym(driver, "cuInit");
    *(void **)&count_of = dlsym(driver, "cuDeviceGetCount");
    *(void **)&device_of = dlsym(driver, "cuDeviceGet");
    // The second one tells a part of a GPU (MIG) by its own UUID, the first by its GPU's. Since driver 470.
    *(void **)&uuid_of = dlsym(driver, "cuDeviceGetUuid_v2");
    if (!uuid_of) *(void **)&uuid_of = dlsym(driver, "cuDeviceGetUuid");
  }
  int count = 0, code = -1;
  if (init && count_of && device_of && uuid_of && !(code = init(0))) code = count_of(&count);
  printf("\"gpus\": [");
  for (int i = 0; !code && i < count; i++) {
    int device;
    CUuuid uuid;
    if ((code = device_of(&device, i)) || (code = uuid_of(&uuid, device))) break;
    printf("%s\"", i ? ", " : "");
    for (int byte = 0; byte < UUID_BYTES; byte++) printf("%02x", uuid.bytes[byte]);
    putchar('"');
  }
  // -1: there is no driver of CUDA's; else one of its results.
  printf("], \"cuda\": %d, ", code);
}

static int opens_all(const char *folder, const char *prefix) {
  char path[512];
  int opened_all = 1;
  DIR *opened = opendir(folder);
  for (struct dirent *entry; opened && (entry = readdir(opened));) {
    if (strncmp(entry->d_name, prefix, strlen(prefix))) continue;
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    int node = open(path, O_RDWR | O_CLOEXEC);
    if (node < 0) opened_all = 0;
    else close(node);
  }
  if (opened) closedir(opened);
  return opened_all;
}

int main(int argc, char **argv) {
  printf("{\"uid\": %d, ", getuid());
  print_status();
  print_interfaces();
  print_field("write_root", outcome(open("/probe", O_WRONLY | O_CREAT, 0600)));
  print_field("user_namespace", outcome(unshare(CLONE_NEWUSER)));
  print_file("uid_map", "/proc/self/uid_map", "");
  print_file("gid_map", "/proc/self/gid_map", "");
  printf("\"engine_socket\": %s, ",
         access("/run/docker.sock", F_OK) && access("/var/run/docker.sock", F_OK) ? "false" : "true");
  print_file("memory_max", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes");
  print_file("pids_max", "/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max");
  print_gpus();
  printf("\"gpu_nodes\": ");
  print_numbered("/dev", "nvidia");
  printf(", \"render_nodes\": ");
  print_numbered("/dev/dri", "renderD");
  printf(", \"opens_render_nodes\": %s}\n", opens_all("/dev/dri", "renderD") && opens_all("/dev", "kfd") ? "true" : "false");
  fflush(stdout);
  if (argc == 2 && !strcmp(argv[1], "wait")) sleep(STAYS_S);
  return 0;
}
