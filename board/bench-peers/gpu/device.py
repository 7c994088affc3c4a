"""What the device is and what it could reach: attributes from the driver, clocks from nvidia-smi."""

import ctypes
import subprocess

# cudaDriver API, CUdevice_attribute.
ATTRIBUTES = {
    "clock_khz": 13,
    "multiprocessors": 16,
    "integrated": 18,
    "compute_mode": 20,
    "memory_clock_khz": 36,
    "memory_bus_bits": 37,
    "l2_bytes": 38,
    "capability_major": 75,
    "capability_minor": 76,
}

# Dense INT8 multiply-accumulates per clock and multiprocessor, by compute capability: the data sheet's INT8 rate
# divided by multiprocessors and boost clock. Hopper reaches its figure only with wgmma; `mma.sync`, which code for
# compute 8.0 uses, reaches about five eighths of it.
INT8_MACS_PER_CLOCK = {
    "8.0": 2048,  # A100: 624 TOPS, 108 SMs, 1.41 GHz
    "8.6": 1024,  # RTX 3090: 284 TOPS, 82 SMs, 1.695 GHz
    "8.7": 2048,  # AGX Orin 64GB: 85 TOPS on Tensor Cores, 16 SMs, 1.3 GHz
    "8.9": 1024,  # RTX 4090: 661 TOPS, 128 SMs, 2.52 GHz
    "9.0": 4096,  # H100 SXM: 1979 TOPS, 132 SMs, 1.83 GHz
    "12.0": 1024,  # RTX 5090: 838 TOPS, 170 SMs, 2.407 GHz
}

# Bytes per second of Orin modules by multiprocessors, from the data sheets (the Nano in Super mode): their driver
# does not report the memory's clock.
ORIN_BANDWIDTH = {16: 204.8e9, 14: 204.8e9, 8: 102.4e9, 4: 51e9}

# CU_COMPUTEMODE_EXCLUSIVE_PROCESS: one process at a time may open the device.
EXCLUSIVE = 3

SMI_FIELDS = (
    "name,driver_version,clocks.sm,clocks.mem,clocks.max.sm,clocks.max.mem,power.draw,power.limit,temperature.gpu"
)
# The field for why clocks are held down: its newer and its older name.
SMI_REASONS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")


class NoDevice(Exception):
    """Why there is no GPU to run on."""


def call(function, *arguments):
    if code := function(*arguments):
        raise NoDevice(f"{function.__name__} returned {code}")


def probe():
    """The first device's name, attributes and the driver's CUDA version."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise NoDevice(f"NVIDIA's driver is not installed: {error}") from error
    call(cuda.cuInit, 0)
    device, version, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(128)
    call(cuda.cuDriverGetVersion, ctypes.byref(version))
    call(cuda.cuDeviceGet, ctypes.byref(device), 0)
    call(cuda.cuDeviceGetName, name, len(name), device)
    found = {"name": name.value.decode(), "cuda": f"{version.value // 1000}.{version.value % 1000 // 10}"}
    for attribute, number in ATTRIBUTES.items():
        value = ctypes.c_int()
        # A driver that does not know an attribute leaves it 0.
        cuda.cuDeviceGetAttribute(ctypes.byref(value), number, device)
        found[attribute] = value.value
    found["capability"] = f"{found.pop('capability_major')}.{found.pop('capability_minor')}"
    address = ctypes.create_string_buffer(32)
    call(cuda.cuDeviceGetPCIBusId, address, len(address), device)
    found["pci"] = address.value.decode()
    return {**found, **peaks(found)}


def peaks(found):
    """INT8 multiply-accumulates and memory bytes per second; None if unknown for this device."""
    macs = INT8_MACS_PER_CLOCK.get(found["capability"])
    if found["integrated"]:
        bandwidth = ORIN_BANDWIDTH.get(found["multiprocessors"])
    else:
        # Two transfers per clock.
        bandwidth = 2 * found["memory_clock_khz"] * 1e3 * found["memory_bus_bits"] / 8
    return {
        "peak_macs_per_second": macs and macs * found["multiprocessors"] * found["clock_khz"] * 1e3,
        "peak_bytes_per_second": bandwidth or None,
    }


def processes_at_once(found):
    """How many processes may open the device: one if it is exclusive or shares the processor's memory."""
    return 1 if found["compute_mode"] == EXCLUSIVE or found["integrated"] else 8


def clocks(found):
    """The current readings of nvidia-smi; None if it has none, as on Jetson."""
    for reasons in SMI_REASONS:
        fields = f"{SMI_FIELDS},{reasons}"
        command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader", f"--id={found['pci']}"]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
        except (OSError, ValueError, subprocess.SubprocessError):
            continue
        values = [value.strip() for value in answer.strip().split(",")]
        if len(values) == fields.count(",") + 1:
            return dict(zip(fields.split(","), values))
    return None


def floor_us(macs, byte_count, peaks_of):
    """Least time of so much work, in microseconds: whichever of arithmetic and memory takes longer."""
    macs_per_second, bytes_per_second = peaks_of["peak_macs_per_second"], peaks_of["peak_bytes_per_second"]
    if not macs_per_second or not bytes_per_second:
        return None
    return 1e6 * max(macs / macs_per_second, byte_count / bytes_per_second)


def roofline(operations, peaks_of):
    """Sums a profile's operations by name, slowest first, each beside the sum of its operations' floors.

    What the program knows of launches in their place and of the estimate for the device is summed up too.
    """
    kinds = {}
    for operation in operations:
        kind = kinds.setdefault(operation["name"], {"name": operation["name"], "operations": 0})
        byte_count = operation["weight_bytes"] + operation["activation_bytes"]
        floor = floor_us(operation["macs"], byte_count, peaks_of)
        kind["operations"] += operation.get("operations", 1)
        sums = {"time_us": operation["time_us"], "macs": operation["macs"], "bytes": byte_count}
        for field, value in sums.items():
            kind[field] = kind.get(field, 0) + value
        kind["floor_us"] = None if floor is None else kind.get("floor_us", 0) + floor
        estimate = operation.get("estimate_us") or {}
        told = {"in_place_us": operation.get("in_place_us")}
        told.update({f"estimate_{end}_us": estimate.get(end) for end in ("low", "high")})
        for field, value in told.items():
            if value is not None:
                kind[field] = kind.get(field, 0) + value
    return sorted(kinds.values(), key=lambda kind: -kind["time_us"])
