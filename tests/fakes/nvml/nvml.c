/* A stand-in for libnvidia-ml.so.1: the calls that nvidia-ml-py makes, answered from a file.
 *
 * FAKE_NVML names the file; each call sees what it says then, so that a test changes a card while
 * it is being watched. A line is "KEY VALUE". A card's key is "INDEX.name", or "*.name" for all cards; a
 * MIG instance's "INDEX.mig.INDEX.name". "!CODE" as a value is an NVML error; what is not in the
 * file is not supported. "INDEX.! CODE" has every call about that card fail. "hang FUNCTION" lets
 * that call wait until the line is gone.
 *
 * -DOLD leaves out what older drivers lack (NVML 11 and before); -DVERSION is the driver this library belongs to,
 * compared with "kernel" in the file.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef VERSION
#define VERSION "575.51.03"
#endif

enum { OK, UNINITIALIZED, INVALID, UNSUPPORTED, DENIED, FOUND = 6, SMALL = 7, UNLOADED = 9, MISMATCH = 18 };
enum { CARDS = 16, PARTS = 8, LINE = 512 };

typedef struct { int card, part; } handle_t;
typedef unsigned int uint;
typedef unsigned long long ull;

static handle_t cards[CARDS], parts[CARDS][PARTS];
static int opened;

/* The file's lines; read again when it was replaced. Calls come from one thread at a time. */
static const char *lines(void) {
    static char content[1 << 16];
    static struct stat before;
    struct stat now;
    const char *path = getenv("FAKE_NVML");
    FILE *file;
    if (!path || stat(path, &now)) return "";
    if (now.st_ino == before.st_ino && now.st_size == before.st_size &&
        now.st_mtim.tv_sec == before.st_mtim.tv_sec && now.st_mtim.tv_nsec == before.st_mtim.tv_nsec)
        return content;
    if (!(file = fopen(path, "r"))) return "";
    content[fread(content, 1, sizeof content - 1, file)] = 0;
    fclose(file);
    before = now;
    return content;
}

/* The value of a key, copied into `value`; 0 where the file does not have it. */
static int look(const char *key, char *value) {
    size_t length = strlen(key);
    for (const char *line = lines(), *end; *line; line = end + (*end == '\n')) {
        end = line + strcspn(line, "\n");
        if (!strncmp(line, key, length) && line[length] == ' ' && end - line < LINE) {
            snprintf(value, LINE, "%.*s", (int)(end - line - length - 1), line + length + 1);
            return 1;
        }
    }
    return 0;
}

static int failure(const char *value) { return value[0] == '!' ? atoi(value + 1) : OK; }

static void hang(const char *function) {
    char value[LINE];
    while (look("hang", value) && !strcmp(value, function)) usleep(5000);
}

/* What the file says of a handle: 0 and the value, or the error to return. */
static int told(handle_t *handle, const char *name, char *value) {
    char key[LINE];
    if (!opened) return UNINITIALIZED;
    if (look("all", value)) return failure(value);
    snprintf(key, LINE, "%d.!", handle->card);
    if (look(key, value)) return atoi(value);
    if (handle->part >= 0) snprintf(key, LINE, "%d.mig.%d.%s", handle->card, handle->part, name);
    else snprintf(key, LINE, "%d.%s", handle->card, name);
    if (look(key, value)) return failure(value);
    if (handle->part >= 0) return UNSUPPORTED;
    snprintf(key, LINE, "*.%s", name);
    return look(key, value) ? failure(value) : UNSUPPORTED;
}

static int number(handle_t *handle, const char *name, ull *out) {
    char value[LINE];
    int error = told(handle, name, value);
    if (!error) *out = strtoull(value, NULL, 0);
    return error;
}

static int small(handle_t *handle, const char *function, const char *name, uint *out) {
    ull value;
    hang(function);
    int error = number(handle, name, &value);
    if (!error) *out = (uint)value;
    return error;
}

static int text(handle_t *handle, const char *name, char *out, uint length) {
    char value[LINE];
    int error = told(handle, name, value);
    if (!error) snprintf(out, length, "%s", value);
    return error;
}

#define NUMBER(function, name) \
    int function(handle_t *handle, uint *out) { return small(handle, #function, name, out); }
#define LARGE(function, name) \
    int function(handle_t *handle, ull *out) { return number(handle, name, out); }
#define TEXT(function, name) \
    int function(handle_t *handle, char *out, uint length) { return text(handle, name, out, length); }
#define TWO(function, first, second) \
    int function(handle_t *handle, uint *a, uint *b) { \
        int error = small(handle, #function, first, a); \
        return error ? error : small(handle, #function, second, b); \
    }
#define CHOICE(function, name) \
    int function(handle_t *handle, uint choice, uint *out) { \
        char key[LINE]; \
        snprintf(key, LINE, name ".%u", choice); \
        return small(handle, #function, key, out); \
    }

/* The driver. */

int nvmlInitWithFlags(uint flags) {
    char value[LINE];
    (void)flags;
    hang("nvmlInitWithFlags");
    if (!look("kernel", value)) return UNLOADED;
    if (strcmp(value, VERSION)) return MISMATCH;
    if (look("init", value)) return failure(value);
    for (int i = 0; i < CARDS; i++) {
        cards[i] = (handle_t){i, -1};
        for (int j = 0; j < PARTS; j++) parts[i][j] = (handle_t){i, j};
    }
    opened++;
    return OK;
}

int nvmlShutdown(void) { return opened ? (opened--, OK) : UNINITIALIZED; }

const char *nvmlErrorString(int error) {
    static char said[32];
    snprintf(said, sizeof said, "error %d", error);
    return said;
}

int nvmlSystemGetDriverVersion(char *out, uint length) {
    snprintf(out, length, "%s", VERSION);
    return OK;
}

int nvmlSystemGetCudaDriverVersion_v2(int *out) {
    char value[LINE];
    if (!look("cuda", value)) return UNSUPPORTED;
    *out = atoi(value);
    return OK;
}

int nvmlDeviceGetCount_v2(uint *out) {
    char value[LINE];
    if (look("all", value)) return failure(value);
    *out = look("count", value) ? (uint)atoi(value) : 0;
    return OK;
}

int nvmlDeviceGetHandleByIndex_v2(uint index, handle_t **out) {
    char key[LINE], value[LINE];
    snprintf(key, LINE, "%u.handle", index);
    if (look(key, value)) return failure(value);
    *out = &cards[index];
    return OK;
}

/* A card: who it is. */

TEXT(nvmlDeviceGetName, "name")
TEXT(nvmlDeviceGetUUID, "uuid")

typedef struct {
    char legacy[16];
    uint domain, bus, device, id, subsystem;
    char bus_id[32];
} pci_t;

int nvmlDeviceGetPciInfo_v3(handle_t *handle, pci_t *out) {
    memset(out, 0, sizeof *out);
    return text(handle, "pci", out->bus_id, sizeof out->bus_id);
}

NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, "pcie_generation")
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, "pcie_generation_max")
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, "pcie_width")
NUMBER(nvmlDeviceGetMaxPcieLinkWidth, "pcie_width_max")
TWO(nvmlDeviceGetCudaComputeCapability, "capability_major", "capability_minor")
NUMBER(nvmlDeviceGetNumGpuCores, "cores")

/* How it is. */

typedef struct { ull total, free, used; } memory_t;
typedef struct { uint version; ull total, reserved, free, used; } memory_v2_t;

int nvmlDeviceGetMemoryInfo(handle_t *handle, memory_t *out) {
    int error = number(handle, "memory_total", &out->total);
    if (!error) error = number(handle, "memory_used", &out->used);
    if (!error) out->free = out->total - out->used;
    return error;
}

TWO(nvmlDeviceGetUtilizationRates_pair, "busy", "memory_busy")

int nvmlDeviceGetUtilizationRates(handle_t *handle, uint *out) {
    return nvmlDeviceGetUtilizationRates_pair(handle, out, out + 1);
}

NUMBER(nvmlDeviceGetPowerUsage, "power")

/* A limit that was set is kept in a file beside, "CARD MILLIWATTS" a line, as a driver keeps it
 * beyond the process that set it; without the file it is what the machine's file says.
 */
static FILE *beside(const char *mode) {
    char path[LINE];
    const char *machine = getenv("FAKE_NVML");
    if (!machine) return NULL;
    snprintf(path, LINE, "%s.set", machine);
    return fopen(path, mode);
}

static int limit_of(handle_t *handle, uint *out) {
    int card;
    uint value;
    int error = small(handle, "", "limit", out);
    FILE *file = error ? NULL : beside("r");
    if (!file) return error;
    while (fscanf(file, "%d %u", &card, &value) == 2)
        if (card == handle->card) *out = value;
    fclose(file);
    return OK;
}

int nvmlDeviceGetEnforcedPowerLimit(handle_t *handle, uint *out) { return limit_of(handle, out); }
int nvmlDeviceGetPowerManagementLimit(handle_t *handle, uint *out) { return limit_of(handle, out); }

/* "CARD.set_limit !CODE" has it fail: 4 is what every user but root is told. */
int nvmlDeviceSetPowerManagementLimit(handle_t *handle, uint value) {
    char said[LINE];
    uint least, most;
    hang("nvmlDeviceSetPowerManagementLimit");
    int error = told(handle, "set_limit", said);
    if (error != UNSUPPORTED && error) return error;
    error = small(handle, "", "limit_min", &least);
    if (!error) error = small(handle, "", "limit_max", &most);
    if (error) return error;
    if (value < least || value > most) return INVALID;
    FILE *file = beside("a");
    if (!file) return DENIED;
    fprintf(file, "%d %u\n", handle->card, value);
    fclose(file);
    return OK;
}

NUMBER(nvmlDeviceGetPowerManagementDefaultLimit, "limit_default")
TWO(nvmlDeviceGetPowerManagementLimitConstraints, "limit_min", "limit_max")
NUMBER(nvmlDeviceGetPersistenceMode, "persistent")
CHOICE(nvmlDeviceGetTemperature, "temperature")
CHOICE(nvmlDeviceGetTemperatureThreshold, "threshold")
NUMBER(nvmlDeviceGetFanSpeed, "fan")
CHOICE(nvmlDeviceGetClockInfo, "clock")
CHOICE(nvmlDeviceGetMaxClockInfo, "clock_max")
NUMBER(nvmlDeviceGetPerformanceState, "state")
LARGE(nvmlDeviceGetCurrentClocksThrottleReasons, "reasons")
TWO(nvmlDeviceGetEccMode, "ecc", "ecc")
NUMBER(nvmlDeviceGetRetiredPagesPendingStatus, "retirement_pending")

int nvmlDeviceGetTotalEccErrors(handle_t *handle, uint type, uint counter, ull *out) {
    char key[LINE];
    snprintf(key, LINE, "ecc_errors.%u.%u", type, counter);
    return number(handle, key, out);
}

int nvmlDeviceGetRetiredPages(handle_t *handle, uint cause, uint *count, ull *pages) {
    char key[LINE];
    ull many;
    snprintf(key, LINE, "retired.%u", cause);
    int error = number(handle, key, &many);
    if (error) return error;
    if (!pages && many) {
        *count = (uint)many;
        return SMALL;
    }
    for (ull i = 0; pages && i < many; i++) pages[i] = 4096 * i;
    *count = (uint)many;
    return OK;
}

CHOICE(nvmlDeviceGetNvLinkState, "nvlink")
CHOICE(nvmlDeviceGetNvLinkVersion, "nvlink_version")

int nvmlDeviceGetNvLinkRemotePciInfo_v2(handle_t *handle, uint link, pci_t *out) {
    char key[LINE];
    snprintf(key, LINE, "nvlink_peer.%u", link);
    memset(out, 0, sizeof *out);
    return text(handle, key, out->bus_id, sizeof out->bus_id);
}

#ifndef OLD

int nvmlDeviceGetMemoryInfo_v2(handle_t *handle, memory_v2_t *out) {
    int error = number(handle, "memory_total", &out->total);
    if (!error) error = number(handle, "memory_used", &out->used);
    if (!error) error = number(handle, "memory_reserved", &out->reserved);
    if (!error) out->free = out->total - out->used - out->reserved;
    return error;
}

typedef struct { uint version, sensor; int celsius; } temperature_t;

int nvmlDeviceGetTemperatureV(handle_t *handle, temperature_t *out) {
    char key[LINE];
    snprintf(key, LINE, "temperature_new.%u", out->sensor);
    return small(handle, "nvmlDeviceGetTemperatureV", key, (uint *)&out->celsius);
}

LARGE(nvmlDeviceGetTotalEnergyConsumption, "energy")
LARGE(nvmlDeviceGetCurrentClocksEventReasons, "reasons")
NUMBER(nvmlDeviceGetMemoryBusWidth, "bus_width")

typedef struct { uint pid; ull memory; uint gpu, compute; } process_t;

/* "PID:BYTES PID:BYTES …"; without the bytes they are not told. */
static int processes(handle_t *handle, const char *name, uint *count, process_t *out) {
    char value[LINE];
    uint many = 0;
    int error = told(handle, name, value);
    if (error) return error;
    for (char *word = strtok(value, " "); word; word = strtok(NULL, " ")) {
        char *bytes = strchr(word, ':');
        if (out && many < *count)
            out[many] = (process_t){(uint)atoi(word), bytes ? strtoull(bytes + 1, NULL, 0) : ~0ULL, ~0U, ~0U};
        many++;
    }
    int is_small = many > *count;
    *count = many;
    return is_small ? SMALL : OK;
}

#define PROCESSES(function, name) \
    int function(handle_t *handle, uint *count, process_t *out) { return processes(handle, name, count, out); }

PROCESSES(nvmlDeviceGetComputeRunningProcesses_v3, "compute")
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v3, "graphics")
PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v3, "mps")

int nvmlDeviceGetRemappedRows(handle_t *handle, uint *corrected, uint *uncorrected, uint *pending, uint *failed) {
    int error = small(handle, "", "rows_corrected", corrected);
    if (!error) error = small(handle, "", "rows_uncorrected", uncorrected);
    if (!error) error = small(handle, "", "rows_pending", pending);
    return error ? error : small(handle, "", "rows_failed", failed);
}

typedef struct {
    uint id, scope;
    int64_t timestamp, latency;
    uint type, error;
    union { uint number; ull large; } value;
} field_t;

/* "field.ID.SCOPE VALUE", as an unsigned int. */
int nvmlDeviceGetFieldValues(handle_t *handle, int count, field_t *fields) {
    if (!opened) return UNINITIALIZED;
    for (int i = 0; i < count; i++) {
        char key[LINE];
        snprintf(key, LINE, "field.%u.%u", fields[i].id, fields[i].scope);
        fields[i].type = 1;
        fields[i].error = (uint)small(handle, "nvmlDeviceGetFieldValues", key, &fields[i].value.number);
    }
    return OK;
}

/* MIG. */

TWO(nvmlDeviceGetMigMode, "mig", "mig")
NUMBER(nvmlDeviceGetMaxMigDeviceCount, "mig_most")
NUMBER(nvmlDeviceGetGpuInstanceId, "gpu_instance")
NUMBER(nvmlDeviceGetComputeInstanceId, "compute_instance")

int nvmlDeviceGetMigDeviceHandleByIndex(handle_t *handle, uint index, handle_t **out) {
    char value[LINE];
    if (index >= PARTS) return INVALID;
    int error = told(&parts[handle->card][index], "uuid", value);
    if (error == UNSUPPORTED) return FOUND;
    *out = &parts[handle->card][index];
    return error;
}

typedef struct {
    uint multiprocessors, copy, decoder, encoder, jpeg, ofa, gpu_slices, compute_slices;
    ull megabytes;
} attributes_t;

int nvmlDeviceGetAttributes_v2(handle_t *handle, attributes_t *out) {
    memset(out, 0, sizeof *out);
    int error = small(handle, "", "multiprocessors", &out->multiprocessors);
    if (!error) error = small(handle, "", "gpu_slices", &out->gpu_slices);
    if (!error) error = small(handle, "", "compute_slices", &out->compute_slices);
    return error ? error : number(handle, "megabytes", &out->megabytes);
}

#endif
