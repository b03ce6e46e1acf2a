"""What `benchmarks.gpu` runs inside and outside of the image: it needs the Python that runs it, and nothing of ours.

Prints one line of JSON. Without PyTorch, it says what a kernel of its own does by the driver's calls alone.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import sys
import time
from typing import Any

PTX = b"""
.version 6.0
.target sm_50
.address_size 64
.visible .entry saxpy(.param .u64 x, .param .u64 y, .param .f32 a, .param .u32 n)
{
    .reg .pred %p<2>;
    .reg .f32 %f<5>;
    .reg .b32 %r<6>;
    .reg .b64 %rd<8>;
    ld.param.u64 %rd1, [x];
    ld.param.u64 %rd2, [y];
    ld.param.f32 %f1, [a];
    ld.param.u32 %r1, [n];
    mov.u32 %r2, %ctaid.x;
    mov.u32 %r3, %ntid.x;
    mov.u32 %r4, %tid.x;
    mad.lo.s32 %r5, %r2, %r3, %r4;
    setp.ge.u32 %p1, %r5, %r1;
    @%p1 bra done;
    cvta.to.global.u64 %rd3, %rd1;
    cvta.to.global.u64 %rd4, %rd2;
    mul.wide.u32 %rd5, %r5, 4;
    add.s64 %rd6, %rd3, %rd5;
    add.s64 %rd7, %rd4, %rd5;
    ld.global.f32 %f2, [%rd6];
    ld.global.f32 %f3, [%rd7];
    fma.rn.f32 %f4, %f1, %f2, %f3;
    st.global.f32 [%rd7], %f4;
done:
    ret;
}
"""
COUNT = 1 << 26
THREADS = 256
ROUNDS = 50


class Cuda:
    """The driver's calls; each that fails is named."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libcuda.so.1")

    def __call__(self, name: str, *arguments: object) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            text = ctypes.c_char_p()
            self._library.cuGetErrorName(code, ctypes.byref(text))
            raise OSError(f"{name}: {(text.value or b'').decode()} ({code})")


def saxpy() -> dict[str, object]:
    """y = 2 x + y on the GPU, checked, and how many bytes a second went through its memory."""
    cuda = Cuda()
    cuda("cuInit", 0)
    version, device, context = ctypes.c_int(), ctypes.c_int(), ctypes.c_void_p()
    cuda("cuDriverGetVersion", ctypes.byref(version))
    cuda("cuDeviceGet", ctypes.byref(device), 0)
    name = ctypes.create_string_buffer(256)
    cuda("cuDeviceGetName", name, len(name), device)
    cuda("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    cuda("cuCtxSetCurrent", context)
    module, function = ctypes.c_void_p(), ctypes.c_void_p()
    cuda("cuModuleLoadData", ctypes.byref(module), PTX)
    cuda("cuModuleGetFunction", ctypes.byref(function), module, b"saxpy")
    x, y = ctypes.c_uint64(), ctypes.c_uint64()
    bits = {value: ctypes.c_uint32.from_buffer(ctypes.c_float(value)).value for value in (1.0, 3.0)}
    for memory, value in ((x, 1.0), (y, 3.0)):
        cuda("cuMemAlloc_v2", ctypes.byref(memory), ctypes.c_size_t(4 * COUNT))
        cuda("cuMemsetD32_v2", memory, ctypes.c_uint32(bits[value]), ctypes.c_size_t(COUNT))
    given = (x, y, ctypes.c_float(2.0), ctypes.c_uint32(COUNT))
    pointers = (ctypes.c_void_p * len(given))(*(ctypes.addressof(each) for each in given))
    cuda("cuCtxSynchronize")
    begun = 0.0
    for number in range(ROUNDS + 1):
        if number == 1:
            # The first round is not counted.
            cuda("cuCtxSynchronize")
            begun = time.perf_counter()
        cuda("cuLaunchKernel", function, COUNT // THREADS, 1, 1, THREADS, 1, 1, 0, None, pointers, None)
    cuda("cuCtxSynchronize")
    seconds = time.perf_counter() - begun
    found = (ctypes.c_float * 4)()
    cuda("cuMemcpyDtoH_v2", found, y, ctypes.c_size_t(ctypes.sizeof(found)))
    wanted = 3.0 + 2.0 * (ROUNDS + 1)
    if list(found) != [wanted] * len(found):
        raise OSError(f"the GPU counted {list(found)}, not {wanted}")
    return {
        "gpu": name.value.decode(),
        "cuda": f"{version.value // 1000}.{version.value % 1000 // 10}",
        "saxpy GB/s": round(3 * 4 * COUNT * ROUNDS / seconds / 1e9, 1),
    }


def product(size: int, rounds: int) -> dict[str, object]:
    """A product of two matrices by PyTorch, where there is one."""
    try:
        torch: Any = importlib.import_module("torch")
    except ModuleNotFoundError:
        return {}
    speeds: dict[str, object] = {"torch": torch.__version__}
    for kind in (torch.float32, torch.bfloat16):
        left = torch.randn(size, size, device="cuda", dtype=kind)
        right = torch.randn(size, size, device="cuda", dtype=kind)
        for _ in range(3):
            left @ right
        torch.cuda.synchronize()
        begun = time.perf_counter()
        for _ in range(rounds):
            left @ right
        torch.cuda.synchronize()
        speeds[f"{str(kind).removeprefix('torch.')} TFLOP/s"] = round(
            2 * size**3 * rounds / (time.perf_counter() - begun) / 1e12, 1
        )
    return speeds


def files() -> list[str]:
    """The libraries that this process has loaded by now."""
    with open("/proc/self/maps", encoding="utf-8") as file:
        paths = {line.split(maxsplit=5)[5].rstrip("\n") for line in file if line.count("/")}
    return sorted(path for path in paths if ".so" in path)


if __name__ == "__main__":
    size, rounds = int(sys.argv[1]), int(sys.argv[2])
    result = saxpy() | product(size, rounds)
    print(json.dumps(result | ({"files": files()} if "--files" in sys.argv else {})))
