/* A driver's library that is none: no GPU is behind it. It answers the few questions with which NVIDIA's own CUDA
 * runtime begins, so that you can see on any machine what that runtime says of a driver. The same calls as in the real
 * one, with these answers:
 *
 *     535     the driver's library of version 535, for CUDA 12.2, on a machine whose GPUs are all gone
 *     stub    what toolkits bring for linking: each call says that it is a stub
 *     compat  the library of another driver than the kernel's, as the folder `compat` of a toolkit has one
 *     newer   the library of a driver that was built for a C library which no image has yet
 *
 * `sh make.sh` compiles them.
 */

#define CALL __attribute__((visibility("default"))) int

#ifndef ANSWER
#define ANSWER 100 /* CUDA_ERROR_NO_DEVICE */
#endif
#ifndef VERSION
#define VERSION 12020
#endif

CALL cuInit(unsigned flags) { return ANSWER; }

CALL cuDeviceGetCount(int *count)
{
    *count = 0;
    return ANSWER;
}

CALL cuDriverGetVersion(int *version)
{
    *version = VERSION;
    return ANSWER == 34 ? ANSWER : 0;
}

static int same(const char *one, const char *other)
{
    while (*one && *one == *other)
        one++, other++;
    return *one == *other;
}

/* By this one the runtime asks for all others. */
CALL cuGetProcAddress_v2(const char *name, void **found, int version, unsigned long long flags, int *status)
{
    *found = 0;
    if (same(name, "cuInit"))
        *found = cuInit;
    if (same(name, "cuDeviceGetCount"))
        *found = cuDeviceGetCount;
    if (same(name, "cuDriverGetVersion"))
        *found = cuDriverGetVersion;
    if (same(name, "cuGetProcAddress"))
        *found = cuGetProcAddress_v2;
    if (status)
        *status = !*found;
    return ANSWER == 34 ? ANSWER : *found ? 0 : 500;
}

CALL cuGetProcAddress(const char *name, void **found, int version, unsigned long long flags)
{
    return cuGetProcAddress_v2(name, found, version, flags, 0);
}

#ifdef NEWER
extern char of_tomorrow[];
CALL *needed(void) { return (int *)of_tomorrow; }
#endif
