"""The GPU's bench from end to end, with a libcuda that counts on the CPU."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

LIBCUDA = r"""
#include <stdlib.h>
#include <string.h>
typedef unsigned long long address;
int cuInit(unsigned flags) { return 0; }
int cuDriverGetVersion(int *version) { *version = 12040; return 0; }
int cuDeviceGet(int *device, int number) { *device = number; return 0; }
int cuDeviceGetName(char *name, int size, int device) { strncpy(name, "made up", size); return 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) { return 0; }
int cuCtxSetCurrent(void *context) { return 0; }
int cuCtxSynchronize(void) { return 0; }
int cuGetErrorName(int code, const char **name) { *name = "CUDA_ERROR"; return 0; }
int cuModuleLoadData(void **module, const char *text) { return strstr(text, "saxpy") ? 0 : 1; }
int cuModuleGetFunction(void **function, void *module, const char *name) { return strcmp(name, "saxpy"); }
int cuMemAlloc_v2(address *memory, size_t size) { *memory = (address)calloc(1, 64); return 0; }
int cuMemsetD32_v2(address memory, unsigned value, size_t count) {
    for (int i = 0; i < 4; i++) ((unsigned *)memory)[i] = value;
    return 0;
}
int cuMemcpyDtoH_v2(void *to, address from, size_t size) { memcpy(to, (void *)from, size); return 0; }
int cuLaunchKernel(void *function, unsigned blocks, unsigned y1, unsigned z1, unsigned threads, unsigned y2,
                   unsigned z2, unsigned shared, void *stream, void **given, void **more) {
    float *x = *(float **)given[0], *y = *(float **)given[1], a = *(float *)given[2];
    if ((address)blocks * threads != *(unsigned *)given[3]) return 9;
    for (int i = 0; i < 4; i++) y[i] += a * x[i];
    return 0;
}
"""
ENTER = 'mount --bind "$1" /etc/ld.so.cache; shift; exec "$@"'


@pytest.mark.slow
@pytest.mark.needs("root", "gcc", "ldconfig", "squashfuse")
def test_an_image_counts_as_outside_with_the_hosts_libcuda_and_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "libcuda.c").write_text(LIBCUDA)
    library = tmp_path / "driver/libcuda.so.1"
    library.parent.mkdir()
    gcc = ["gcc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", str(library), str(tmp_path / "libcuda.c")]
    subprocess.run(gcc, check=True)
    subprocess.run(["ldconfig", "-X", "-C", str(tmp_path / "cache"), str(library.parent)], check=True)
    bench = [sys.executable, "-m", "benchmarks.gpu", "--python", "/usr/bin/python3"]
    inside = ["unshare", "-m", "sh", "-c", ENTER, "sh", str(tmp_path / "cache"), *bench]
    done = subprocess.run(inside, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[2:4] == ["| gpu | made up | made up |", "| cuda | 12.4 | 12.4 |"]
    assert re.fullmatch(r"\| saxpy GB/s \| [\d.]+ \| [\d.]+ \|", lines[4])
    assert len(lines) == 5


def test_without_a_gpu_it_says_so() -> None:
    bench = [sys.executable, "-m", "benchmarks.gpu"]
    done = subprocess.run(bench, env={"PATH": os.environ["PATH"]}, check=False, capture_output=True, text=True)
    if done.returncode == 0:
        pytest.skip("this machine has a GPU")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (6, "bench: no GPU works outside of an image here")
