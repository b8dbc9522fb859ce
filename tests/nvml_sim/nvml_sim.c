/* A stand-in for NVIDIA's libnvidia-ml.so.1, so that the node's own code and the real pynvml run on
 * machines without a GPU, and meet GPUs that fail in ways no healthy machine shows.
 *
 * It is told what to be by the file that NVML_SIM names, read again on every call, so that a test can
 * change the machine under a running process. One setting a line:
 *
 *     driver 550.90.07                       a fact of the machine
 *     error nvmlInitWithFlags 9              that call fails with that NVML code
 *     sleep nvmlDeviceGetName 2000           that call takes so many milliseconds
 *     gpu 0 name NVIDIA H100 80GB HBM3       a fact of GPU 0; what is not said is "not supported"
 *     gpu 0 error nvmlDeviceGetUUID 15       that call fails for GPU 0 alone
 *     gpu 0 process 4711 1048576             a process on it and the bytes that it uses
 *     gpu 0 mig 1                            it is split; its parts are told as
 *     part 0 1 uuid MIG-...                  a fact of its part 1
 *     event 3 0 79                           GPU 0 reports XID 79; a number is reported once
 *
 * Signatures and layouts follow NVML's public interface as pynvml declares it; no NVIDIA header is used.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))
#define GPUS_MAX 128
#define PARTS_MAX 8
#define SETTINGS_MAX 1024
#define LINE_BYTES 512

typedef int nvml_return;

enum {
    SUCCESS = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    DRIVER_NOT_LOADED = 9,
    TIMEOUT = 10,
};

typedef struct {
    int gpu; /* -1: of the machine; from GPUS_MAX on: parts, PARTS_MAX for each GPU */
    char text[LINE_BYTES];
} setting;

typedef struct {
    setting settings[SETTINGS_MAX];
    int settings_count;
    int gpus_count;
} machine;

/* A handle is the address of its GPU's entry here, as opaque to pynvml as NVIDIA's own. */
typedef struct {
    int index;
} gpu;

static gpu gpus[GPUS_MAX * (1 + PARTS_MAX)];
static int initialised;
/* GPUs whose events are waited for, and the number of the last event that was told. */
static unsigned char is_registered[GPUS_MAX];
static int last_event;

static int part_index(int gpu_index, int part)
{
    return GPUS_MAX + gpu_index * PARTS_MAX + part;
}

/* --- the machine, from its file ------------------------------------------------------------- */

static int read_machine(machine *m)
{
    const char *path = getenv("NVML_SIM");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[LINE_BYTES];

    m->settings_count = m->gpus_count = 0;
    if (!file)
        return 0;
    while (fgets(line, sizeof line, file) && m->settings_count < SETTINGS_MAX) {
        setting *s = &m->settings[m->settings_count];
        int skip = 0;

        line[strcspn(line, "\n")] = 0;
        if (!line[0] || line[0] == '#')
            continue;
        s->gpu = -1;
        if (sscanf(line, "gpu %d %n", &s->gpu, &skip) == 1 && s->gpu >= m->gpus_count)
            m->gpus_count = s->gpu + 1;
        int part = 0;
        if (sscanf(line, "part %d %d %n", &s->gpu, &part, &skip) == 2)
            s->gpu = part_index(s->gpu, part);
        snprintf(s->text, sizeof s->text, "%s", line + skip);
        m->settings_count++;
    }
    fclose(file);
    return 1;
}

/* What follows "KEY " in the settings of one GPU (or -1, the machine): the nth such line, or NULL. */
static const char *nth_value(const machine *m, int gpu_index, const char *key, int n)
{
    size_t length = strlen(key);

    for (int i = 0; i < m->settings_count; i++) {
        const setting *s = &m->settings[i];

        if (s->gpu == gpu_index && !strncmp(s->text, key, length) && s->text[length] == ' ' && n-- == 0)
            return s->text + length + 1;
    }
    return NULL;
}

static const char *value(const machine *m, int gpu_index, const char *key)
{
    return nth_value(m, gpu_index, key, 0);
}

/* --- what every call does first ------------------------------------------------------------- */

static nvml_return injected(const machine *m, int gpu_index, const char *function)
{
    char key[LINE_BYTES];
    const char *text;

    snprintf(key, sizeof key, "sleep %s", function);
    if ((text = value(m, gpu_index, key))) {
        long ms = atol(text);
        struct timespec left = {ms / 1000, ms % 1000 * 1000000};

        while (nanosleep(&left, &left) && errno == EINTR)
            ;
    }
    snprintf(key, sizeof key, "error %s", function);
    text = value(m, gpu_index, key);
    return text ? atoi(text) : SUCCESS;
}

static nvml_return enter(machine *m, const char *function)
{
    if (!initialised)
        return UNINITIALIZED;
    if (!read_machine(m))
        return DRIVER_NOT_LOADED;
    return injected(m, -1, function);
}

static nvml_return enter_gpu(machine *m, const gpu *g, const char *function)
{
    nvml_return result = enter(m, function);

    if (result)
        return result;
    if (g < gpus || g >= gpus + sizeof gpus / sizeof *gpus)
        return INVALID_ARGUMENT;
    int whole = g->index < GPUS_MAX ? g->index : (g->index - GPUS_MAX) / PARTS_MAX;
    if (whole >= m->gpus_count)
        return INVALID_ARGUMENT;
    return injected(m, g->index, function);
}

#define ENTER()                                     \
    machine m;                                      \
    nvml_return entered = enter(&m, __func__);      \
    if (entered)                                    \
        return entered
#define ENTER_GPU(g)                                \
    machine m;                                      \
    nvml_return entered = enter_gpu(&m, g, __func__); \
    if (entered)                                    \
        return entered

static nvml_return copy_text(const char *text, char *out, unsigned size)
{
    if (!text)
        return NOT_SUPPORTED;
    if (strlen(text) >= size)
        return INSUFFICIENT_SIZE;
    strcpy(out, text);
    return SUCCESS;
}

static nvml_return copy_number(const char *text, unsigned *out)
{
    if (!text)
        return NOT_SUPPORTED;
    *out = (unsigned)strtoull(text, NULL, 10);
    return SUCCESS;
}

/* --- the library ---------------------------------------------------------------------------- */

EXPORT nvml_return nvmlInitWithFlags(unsigned flags)
{
    machine m;
    nvml_return result;

    (void)flags;
    if (!read_machine(&m))
        return DRIVER_NOT_LOADED;
    if ((result = injected(&m, -1, __func__)))
        return result;
    for (int i = 0; i < (int)(sizeof gpus / sizeof *gpus); i++)
        gpus[i].index = i;
    initialised++;
    return SUCCESS;
}

EXPORT nvml_return nvmlShutdown(void)
{
    if (!initialised)
        return UNINITIALIZED;
    initialised--;
    return SUCCESS;
}

EXPORT const char *nvmlErrorString(nvml_return result)
{
    static char text[32];

    snprintf(text, sizeof text, "simulated error %d", result);
    return text;
}

EXPORT nvml_return nvmlSystemGetDriverVersion(char *out, unsigned size)
{
    ENTER();
    return copy_text(value(&m, -1, "driver"), out, size);
}

EXPORT nvml_return nvmlSystemGetCudaDriverVersion(int *out)
{
    ENTER();
    return copy_number(value(&m, -1, "cuda"), (unsigned *)out);
}

EXPORT nvml_return nvmlDeviceGetCount_v2(unsigned *out)
{
    ENTER();
    *out = m.gpus_count;
    return SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetHandleByIndex_v2(unsigned index, gpu **out)
{
    ENTER();
    if (index >= (unsigned)m.gpus_count || index >= GPUS_MAX)
        return INVALID_ARGUMENT;
    *out = &gpus[index];
    return injected(&m, (int)index, __func__);
}

/* --- one GPU -------------------------------------------------------------------------------- */

EXPORT nvml_return nvmlDeviceGetUUID(const gpu *g, char *out, unsigned size)
{
    ENTER_GPU(g);
    return copy_text(value(&m, g->index, "uuid"), out, size);
}

EXPORT nvml_return nvmlDeviceGetName(const gpu *g, char *out, unsigned size)
{
    ENTER_GPU(g);
    return copy_text(value(&m, g->index, "name"), out, size);
}

typedef struct {
    unsigned long long total, free, used;
} memory_info;

EXPORT nvml_return nvmlDeviceGetMemoryInfo(const gpu *g, memory_info *out)
{
    ENTER_GPU(g);
    const char *total = value(&m, g->index, "memory_total");
    const char *used = value(&m, g->index, "memory_used");

    if (!total)
        return NOT_SUPPORTED;
    out->total = strtoull(total, NULL, 10);
    out->used = used ? strtoull(used, NULL, 10) : 0;
    out->free = out->total - out->used;
    return SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetCudaComputeCapability(const gpu *g, int *major, int *minor)
{
    ENTER_GPU(g);
    const char *text = value(&m, g->index, "compute_capability");

    return text && sscanf(text, "%d.%d", major, minor) == 2 ? SUCCESS : NOT_SUPPORTED;
}

typedef struct {
    unsigned gpu, memory;
} utilisation;

EXPORT nvml_return nvmlDeviceGetUtilizationRates(const gpu *g, utilisation *out)
{
    ENTER_GPU(g);
    out->memory = 0;
    return copy_number(value(&m, g->index, "utilisation"), &out->gpu);
}

EXPORT nvml_return nvmlDeviceGetTemperature(const gpu *g, unsigned sensor, unsigned *out)
{
    ENTER_GPU(g);
    if (sensor != 0)
        return INVALID_ARGUMENT;
    return copy_number(value(&m, g->index, "temperature"), out);
}

EXPORT nvml_return nvmlDeviceGetPowerUsage(const gpu *g, unsigned *out)
{
    ENTER_GPU(g);
    return copy_number(value(&m, g->index, "power"), out);
}

EXPORT nvml_return nvmlDeviceGetMigMode(const gpu *g, unsigned *current, unsigned *pending)
{
    ENTER_GPU(g);
    *pending = 0;
    return copy_number(value(&m, g->index, "mig"), current);
}

typedef struct {
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
} process_info;

EXPORT nvml_return nvmlDeviceGetComputeRunningProcesses_v3(const gpu *g, unsigned *count, process_info *out)
{
    ENTER_GPU(g);
    unsigned room = *count, n = 0;
    const char *text;

    for (; (text = nth_value(&m, g->index, "process", (int)n)); n++) {
        if (!out || n >= room)
            continue;
        out[n].gpu_instance = out[n].compute_instance = UINT32_MAX;
        if (sscanf(text, "%u %llu", &out[n].pid, &out[n].used) != 2)
            return INVALID_ARGUMENT;
    }
    *count = n;
    return n > room || (n && !out) ? INSUFFICIENT_SIZE : SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetEnforcedPowerLimit(const gpu *g, unsigned *out)
{
    ENTER_GPU(g);
    return copy_number(value(&m, g->index, "power_limit"), out);
}

EXPORT nvml_return nvmlDeviceGetCurrentClocksThrottleReasons(const gpu *g, unsigned long long *out)
{
    ENTER_GPU(g);
    const char *text = value(&m, g->index, "throttle");

    if (!text)
        return NOT_SUPPORTED;
    *out = strtoull(text, NULL, 0);
    return SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetMinorNumber(const gpu *g, unsigned *out)
{
    ENTER_GPU(g);
    return copy_number(value(&m, g->index, "minor"), out);
}

EXPORT nvml_return nvmlDeviceGetTotalEccErrors(const gpu *g, unsigned kind, unsigned counter, unsigned long long *out)
{
    ENTER_GPU(g);
    const char *text = value(&m, g->index, kind == 0 ? "ecc_corrected" : "ecc_uncorrected");

    if (counter != 0 || !text)
        return NOT_SUPPORTED;
    *out = strtoull(text, NULL, 10);
    return SUCCESS;
}

typedef struct {
    char bus_id_legacy[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
} pci_info;

EXPORT nvml_return nvmlDeviceGetPciInfo_v3(const gpu *g, pci_info *out)
{
    ENTER_GPU(g);
    memset(out, 0, sizeof *out);
    return copy_text(value(&m, g->index, "pci"), out->bus_id, sizeof out->bus_id);
}

/* --- parts of a GPU ------------------------------------------------------------------------- */

EXPORT nvml_return nvmlDeviceGetMaxMigDeviceCount(const gpu *g, unsigned *out)
{
    ENTER_GPU(g);
    *out = PARTS_MAX;
    return SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetMigDeviceHandleByIndex(const gpu *g, unsigned part, gpu **out)
{
    ENTER_GPU(g);
    if (part >= PARTS_MAX)
        return INVALID_ARGUMENT;
    int index = part_index(g->index, (int)part);
    for (int i = 0; i < m.settings_count; i++)
        if (m.settings[i].gpu == index) {
            *out = &gpus[index];
            return SUCCESS;
        }
    return NOT_FOUND;
}

/* --- events --------------------------------------------------------------------------------- */

#define XID_CRITICAL_ERROR 8

EXPORT nvml_return nvmlEventSetCreate(void **out)
{
    ENTER();
    *out = is_registered;
    memset(is_registered, 0, sizeof is_registered);
    return SUCCESS;
}

EXPORT nvml_return nvmlDeviceRegisterEvents(const gpu *g, unsigned long long types, void *set)
{
    ENTER_GPU(g);
    if (set != is_registered || types != XID_CRITICAL_ERROR)
        return INVALID_ARGUMENT;
    is_registered[g->index] = 1;
    return SUCCESS;
}

typedef struct {
    gpu *device;
    unsigned long long type, data;
    unsigned gpu_instance, compute_instance;
} event_data;

EXPORT nvml_return nvmlEventSetWait_v2(void *set, event_data *out, unsigned timeout_ms)
{
    if (set != is_registered)
        return INVALID_ARGUMENT;
    for (unsigned waited_ms = 0;; waited_ms += 5) {
        ENTER();
        const char *text;

        for (int n = 0; (text = nth_value(&m, -1, "event", n)); n++) {
            int number, index, xid;

            if (sscanf(text, "%d %d %d", &number, &index, &xid) != 3 || number <= last_event || !is_registered[index])
                continue;
            last_event = number;
            *out = (event_data){&gpus[index], XID_CRITICAL_ERROR, (unsigned long long)xid, UINT32_MAX, UINT32_MAX};
            return SUCCESS;
        }
        if (waited_ms >= timeout_ms)
            return TIMEOUT;
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
}

EXPORT nvml_return nvmlEventSetFree(void *set)
{
    return set == is_registered ? SUCCESS : INVALID_ARGUMENT;
}
