"""Asks for the CUDA runtime (it comes with the image) and for the driver (it comes with the machine): do they fit?"""

import ctypes
import glob
import sys


def main() -> int:
    found = [path for place in sys.path for path in sorted(glob.glob(f"{place}/nvidia/*/lib/libcudart.so.*"))]
    if not found:
        print("toolkit  none: no libcudart in this image")
        return 1
    runtime = ctypes.CDLL(found[0])
    runtime.cudaGetErrorString.restype = ctypes.c_char_p
    number = ctypes.c_int()
    runtime.cudaRuntimeGetVersion(ctypes.byref(number))
    version = int(found[0].rpartition(".so.")[2].partition(".")[0]) * 1000 if number.value == 0 else number.value
    print(f"toolkit  CUDA {shown(version)}, {found[0]}")

    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        print(f"driver   none: {error}")
    else:
        runtime.cudaDriverGetVersion(ctypes.byref(number))
        with open("/proc/self/maps") as maps:
            path = next(line.split()[-1] for line in maps if "libcuda.so" in line)
        print(f"driver   for CUDA {shown(number.value)}, {path}")

    code = runtime.cudaGetDeviceCount(ctypes.byref(number))
    print(f"answer   {code}: {runtime.cudaGetErrorString(code).decode()}")
    if code == 0:
        properties = ctypes.create_string_buffer(1 << 16)
        runtime.cudaGetDeviceProperties(properties, 0)
        print(f"GPUs     {number.value}, the first is {properties.value.decode()}")
    return 0


def shown(version: int) -> str:
    """12060 is 12.6."""
    return f"{version // 1000}.{version % 1000 // 10}"


sys.exit(main())
