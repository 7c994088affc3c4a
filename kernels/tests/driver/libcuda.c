// A driver without a device: memory is the host's, launches do nothing. It keeps count of what is given out and
// taken back, refuses calls that the real one would refuse, and fails where the environment says so:
//   FAKE_VERSION, FAKE_CAPABILITY, FAKE_DEVICES   what it claims to be, as 12060, 87, 1
//   FAKE_FAIL                                     name of the function that fails with FAKE_ERROR, by default 1
//   FAKE_REFUSE_ELF                               1 to refuse machine code
//   FAKE_FLAGS                                    flags that the context must have been given, by default 1: spinning
//   FAKE_PART                                     multiprocessors of the part that is to be used, by default none
//   FAKE_LOCAL_BYTES                              of each kernel, by default 0
// Prints "live N" when the program ends.
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long u64;

enum { OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_CONTEXT = 201, INVALID_HANDLE = 400 };

static int live, initialized, retained, flagged, streams, capturing, captured;
static _Thread_local int current;

static int setting(const char *name, int otherwise) {
    const char *value = getenv(name);
    return value ? atoi(value) : otherwise;
}

__attribute__((destructor)) static void report(void) { fprintf(stderr, "live %d\n", live); }

static int fails(const char *function) {
    const char *failing = getenv("FAKE_FAIL");
    return failing && !strcmp(failing, function) ? setting("FAKE_ERROR", 1) : 0;
}

#define CHECK(condition, error)                                                                            \
    if (!(condition)) return error
// Every call may be told to fail; all but the first few need a context.
#define ENTER                                                                                              \
    int error = fails(__func__);                                                                           \
    if (error) return error
#define ENTER_CONTEXT                                                                                      \
    ENTER;                                                                                                 \
    CHECK(current && retained, INVALID_CONTEXT)

// A handle is a piece of memory that starts with its kind.
static void *give(char kind, size_t bytes, size_t align) {
    char *handle = aligned_alloc(align, (bytes / align + 1) * align);
    handle[0] = kind, handle[1] = 0;
    live++;
    return handle;
}
static int take(void *handle, char kind) {
    CHECK(handle && *(char *)handle == kind, INVALID_HANDLE);
    free(handle);
    live--;
    return 0;
}
#define IS(handle, kind) CHECK((handle) && *(char *)(handle) == (kind), INVALID_HANDLE)

int cuGetErrorName(int error, const char **text) {
    *text = error == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_OTHER";
    return 0;
}
int cuGetErrorString(int error, const char **text) {
    *text = error == OUT_OF_MEMORY ? "out of memory" : "something else";
    return 0;
}
int cuDriverGetVersion(int *version) {
    ENTER;
    *version = setting("FAKE_VERSION", 12060);
    return 0;
}
int cuInit(unsigned flags) {
    ENTER;
    CHECK(setting("FAKE_DEVICES", 1) > 0, NO_DEVICE);
    initialized = 1;
    return flags;
}
int cuDeviceGetCount(int *count) {
    ENTER;
    CHECK(initialized, NOT_INITIALIZED);
    *count = setting("FAKE_DEVICES", 1);
    return 0;
}
int cuDeviceGet(int *device, int ordinal) {
    ENTER;
    *device = ordinal;
    return 0;
}
int cuDeviceGetName(char *name, int length, int device) {
    ENTER;
    snprintf(name, length, "Fake %d", device);
    return 0;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    ENTER;
    int capability = setting("FAKE_CAPABILITY", 87);
    switch (attribute) {
    case 75: *value = capability / 10; break;
    case 76: *value = capability % 10; break;
    case 97: *value = 163 * 1024; break;
    case 38: *value = 2 << 20; break;
    default: *value = 8 + device;
    }
    return 0;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) {
    ENTER;
    *bytes = (size_t)(device + 1) << 30;
    return 0;
}
int cuDevicePrimaryCtxSetFlags_v2(int device, unsigned flags) {
    ENTER;
    CHECK(!retained, 708);
    flagged = (int)flags;
    return device * 0;
}
int cuDevicePrimaryCtxRetain(void **context, int device) {
    ENTER;
    *context = &retained + device * 0;
    retained++, live++;
    return 0;
}
int cuDevicePrimaryCtxRelease_v2(int device) {
    (void)device;
    // Nothing may be left in a context that goes.
    CHECK(live == retained, INVALID_CONTEXT);
    retained--, live--;
    return 0;
}
int cuCtxSetCurrent(void *context) {
    ENTER;
    // Where a part is to be used, everything must happen there.
    CHECK(setting("FAKE_PART", 0) ? *(char *)context == 'p' : context == &retained, INVALID_CONTEXT);
    CHECK(retained && flagged == setting("FAKE_FLAGS", 1), INVALID_CONTEXT);
    current = 1;
    return 0;
}
// A resource: its kind, 92 bytes, and for multiprocessors their number.
typedef struct {
    int kind;
    char padding[92];
    unsigned count;
    char rest[44];
} Resource;
int cuDeviceGetDevResource(int device, Resource *resource, int kind) {
    ENTER;
    CHECK(kind == 1, 1);
    *resource = (Resource){.kind = kind, .count = 132 + device};
    return 0;
}
int cuDevSmResourceSplitByCount(Resource *part, unsigned *groups, const Resource *all, Resource *rest, unsigned flags,
                                unsigned least) {
    ENTER;
    CHECK(*groups == 1 && all->kind == 1 && all->count == 132 && !rest && !flags, 1);
    // In groups of 8.
    part->kind = 1, part->count = (least + 7) / 8 * 8;
    CHECK(part->count <= all->count, 914);
    return 0;
}
int cuDevResourceGenerateDesc(void **description, Resource *part, unsigned count) {
    ENTER;
    CHECK(part->kind == 1 && count == 1, 1);
    static unsigned described;
    described = part->count;
    *description = &described;
    return 0;
}
int cuGreenCtxCreate(void **green, void *description, int device, unsigned flags) {
    ENTER;
    CHECK(retained && flags == 1 && !device, 1);
    CHECK(*(unsigned *)description == (unsigned)setting("FAKE_PART", 0), 1);
    *green = give('p', 1, 64);
    return 0;
}
int cuCtxFromGreenCtx(void **context, void *green) {
    ENTER;
    IS(green, 'p');
    *context = green;
    return 0;
}
int cuGreenCtxDestroy(void *green) {
    ENTER;
    CHECK(retained, INVALID_CONTEXT);
    return take(green, 'p');
}
int cuStreamCreate(void **stream, unsigned flags) {
    ENTER_CONTEXT;
    CHECK(flags == 1, 1);
    // Launches share scratch space: they must follow one another, which those of one stream do.
    CHECK(!streams, 1);
    *stream = give('s', 1, 64);
    streams++;
    return 0;
}
int cuStreamDestroy_v2(void *stream) {
    ENTER_CONTEXT;
    streams--;
    return take(stream, 's');
}
int cuStreamSynchronize(void *stream) {
    ENTER_CONTEXT;
    IS(stream, 's');
    CHECK(!capturing, 900);
    return 0;
}
int cuModuleLoadDataEx(void **module, const char *image, unsigned options, int *option, void **value) {
    if (fails(__func__)) {
        for (unsigned i = 0; i < options; i++)
            if (option[i] == 5) snprintf(value[i], (size_t)value[i + 1], "ptxas fatal");
        return setting("FAKE_ERROR", 1);
    }
    CHECK(current && retained, INVALID_CONTEXT);
    // An ELF file that can be read where it lies, or text of PTX.
    if (!memcmp(image, "\x7f" "ELF", 4)) {
        CHECK((size_t)image % 16 == 0, 200);
        CHECK(!setting("FAKE_REFUSE_ELF", 0), 209);
    } else {
        CHECK(strstr(image, ".entry"), 200);
    }
    *module = give('m', 1, 64);
    return 0;
}
int cuModuleUnload(void *module) {
    ENTER_CONTEXT;
    return take(module, 'm');
}
int cuModuleGetFunction(void **function, void *module, const char *name) {
    ENTER_CONTEXT;
    IS(module, 'm');
    CHECK(strlen(name) > 0, 1);
    *function = module;
    return 0;
}
int cuFuncGetAttribute(int *value, int attribute, void *function) {
    ENTER_CONTEXT;
    IS(function, 'm');
    switch (attribute) {
    case 1: *value = 1024; break;
    case 3: *value = setting("FAKE_LOCAL_BYTES", 0); break;
    case 4: *value = 40; break;
    default: return 1;
    }
    return 0;
}
int cuFuncSetAttribute(void *function, int attribute, int value) {
    ENTER_CONTEXT;
    IS(function, 'm');
    if (attribute == 9) {
        // Noted in the handle: a launch with shared memory asks for it.
        ((char *)function)[1] = (char)value;
        return 0;
    }
    CHECK(attribute == 8 && value + 1024 == 163 * 1024, 1);
    return 0;
}
int cuMemAlloc_v2(u64 *address, size_t bytes) {
    ENTER_CONTEXT;
    CHECK(bytes > 0, 1);
    *address = (u64)give('d', bytes + 256, 256) + 256;
    return 0;
}
int cuMemFree_v2(u64 address) {
    ENTER_CONTEXT;
    return take((char *)address - 256, 'd');
}
int cuMemGetInfo_v2(size_t *free, size_t *total) {
    ENTER_CONTEXT;
    *free = 1000, *total = 2000;
    return 0;
}
int cuMemsetD8Async(u64 address, unsigned char value, size_t bytes, void *stream) {
    ENTER_CONTEXT;
    IS(stream, 's');
    memset((void *)address, value, bytes);
    return 0;
}
int cuMemHostAlloc(void **host, size_t bytes, unsigned flags) {
    ENTER_CONTEXT;
    CHECK(bytes > 0 && flags == 3, 1);
    *host = (char *)give('h', bytes + 4096, 4096) + 4096;
    return 0;
}
int cuMemFreeHost(void *host) {
    ENTER_CONTEXT;
    return take((char *)host - 4096, 'h');
}
int cuMemHostGetDevicePointer_v2(u64 *address, void *host, unsigned flags) {
    ENTER_CONTEXT;
    IS((char *)host - 4096, 'h');
    *address = (u64)host;
    return flags;
}
int cuMemcpyHtoDAsync_v2(u64 to, const void *from, size_t bytes, void *stream) {
    ENTER_CONTEXT;
    IS(stream, 's');
    memcpy((void *)to, from, bytes);
    return 0;
}
int cuMemcpyDtoHAsync_v2(void *to, u64 from, size_t bytes, void *stream) {
    ENTER_CONTEXT;
    IS(stream, 's');
    memcpy(to, (void *)from, bytes);
    return 0;
}
int cuMemcpyDtoDAsync_v2(u64 to, u64 from, size_t bytes, void *stream) {
    ENTER_CONTEXT;
    IS(stream, 's');
    memcpy((void *)to, (void *)from, bytes);
    return 0;
}
int cuStreamBeginCapture_v2(void *stream, int mode) {
    ENTER_CONTEXT;
    IS(stream, 's');
    CHECK(!capturing && mode == 1, 1);
    capturing = 1, captured = 0;
    return 0;
}
int cuStreamEndCapture(void *stream, void **graph) {
    ENTER_CONTEXT;
    IS(stream, 's');
    CHECK(capturing, 1);
    capturing = 0;
    *graph = give('g', 2, 64);
    ((char *)*graph)[1] = captured > 0;
    return 0;
}
int cuGraphInstantiateWithFlags(void **executable, void *graph, u64 flags) {
    ENTER_CONTEXT;
    IS(graph, 'g');
    // A driver may refuse a graph of nothing.
    CHECK(((char *)graph)[1], 1);
    *executable = give('x', 1, 64);
    return (int)flags;
}
int cuGraphDestroy(void *graph) {
    ENTER_CONTEXT;
    return take(graph, 'g');
}
int cuGraphExecDestroy(void *executable) {
    ENTER_CONTEXT;
    return take(executable, 'x');
}
int cuGraphUpload(void *executable, void *stream) {
    ENTER_CONTEXT;
    IS(executable, 'x');
    IS(stream, 's');
    return 0;
}
int cuGraphLaunch(void *executable, void *stream) {
    ENTER_CONTEXT;
    IS(executable, 'x');
    IS(stream, 's');
    CHECK(!capturing, 1);
    return 0;
}
int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void *stream, void **parameters, void **extra) {
    ENTER_CONTEXT;
    IS(function, 'm');
    IS(stream, 's');
    CHECK(gx && gy && gz && bx && bx * by * bz <= 1024, 1);
    CHECK(shared <= 162 * 1024 && parameters && parameters[0] && !extra, 1);
    CHECK(!shared || ((char *)function)[1] == 100, 1);
    captured += capturing;
    return 0;
}
int cuEventCreate(void **event, unsigned flags) {
    ENTER_CONTEXT;
    *event = give('e', 1, 64);
    return (int)flags;
}
int cuEventRecord(void *event, void *stream) {
    ENTER_CONTEXT;
    IS(event, 'e');
    IS(stream, 's');
    return 0;
}
int cuEventElapsedTime(float *milliseconds, void *start, void *end) {
    ENTER_CONTEXT;
    IS(start, 'e');
    IS(end, 'e');
    *milliseconds = 3.0f;
    return 0;
}
int cuEventDestroy_v2(void *event) {
    ENTER_CONTEXT;
    return take(event, 'e');
}
