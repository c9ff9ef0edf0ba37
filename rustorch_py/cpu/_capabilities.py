"""What the processor can do."""
import os
import platform
import re
import sys
from functools import lru_cache
from types import MappingProxyType

# name here: flag in /proc/cpuinfo (macOS: in sysctl machdep.cpu, upper case), where it differs
_X86 = {**{n: n for n in """sse sse2 ssse3 sse4_1 sse4_2 sse4a avx avx2 avx_vnni avx_vnni_int8 avx_vnni_int16 avx_ne_convert avx512_vp2intersect avx512_vnni
                            avx512_vbmi2 avx512_bitalg avx512_vpopcntdq avx512_bf16 avx512_fp16 avx512_4vnniw avx512_4fmaps amx_bf16 amx_tile amx_int8
                            amx_fp16 fma4 f16c popcnt aes clflushopt clwb""".split()},
        **{"avx512_" + n: "avx512" + n for n in ("f", "cd", "dq", "bw", "vl", "ifma", "vbmi")},
        "sse3": "pni", "fma3": "fma", "bmi": "bmi1", "bmi2": "bmi2", "lzcnt": "abm", "sha": "sha_ni", "clflush": "clflush", "avx10_1": "avx10_1", "avx10_2": "avx10_2"}
_ARM = {"neon": "asimd", "fp16_arith": "asimdhp", "bf16": "bf16", "i8mm": "i8mm", "dot": "asimddp", "sve": "sve", "sve2": "sve2", "sve_bf16": "svebf16",
        "sme": "sme", "sme2": "sme2", "atomics": "atomics", "fhm": "asimdfhm", "rdm": "asimdrdm", "crc32": "crc32", "aes": "aes", "sha1": "sha1", "sha2": "sha2",
        "pmull": "pmull"}
_SYSCTL_ARM = {"asimd": "AdvSIMD", "asimdhp": "FEAT_FP16", "bf16": "FEAT_BF16", "i8mm": "FEAT_I8MM", "asimddp": "FEAT_DotProd", "sme": "FEAT_SME", "sme2": "FEAT_SME2",
               "atomics": "FEAT_LSE", "asimdfhm": "FEAT_FHM", "asimdrdm": "FEAT_RDM", "crc32": "FEAT_CRC32", "aes": "FEAT_AES", "sha1": "FEAT_SHA1",
               "sha2": "FEAT_SHA256", "pmull": "FEAT_PMULL"}


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def _sysctl(*names):
    import subprocess
    try:
        return subprocess.run(["sysctl", "-n", *names], capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""


def _cache_bytes(level):
    """Size of the first core's data (or unified) cache of a level; 0 if the system does not tell."""
    base = "/sys/devices/system/cpu/cpu0/cache"
    for index in sorted(os.listdir(base)) if os.path.isdir(base) else ():
        if _read(f"{base}/{index}/level").strip() == str(level) and _read(f"{base}/{index}/type").strip() in ("Data", "Unified"):
            size = re.fullmatch(r"(\d+)([KM]?)", _read(f"{base}/{index}/size").strip())
            return int(size[1]) * {"": 1, "K": 1 << 10, "M": 1 << 20}[size[2]] if size else 0
    return 0


@lru_cache(maxsize=1)
def capabilities():
    """See `cpu.get_capabilities`."""
    machine = platform.machine().lower()
    arm = machine in ("aarch64", "arm64")
    names = _ARM if arm else _X86
    info = _read("/proc/cpuinfo")
    fields = {}
    for line in info.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), []).append(value.strip())
    flags = set((fields.get("flags") or fields.get("Features") or [""])[0].split())
    cores = len({*zip(fields.get("physical id", ()), fields.get("core id", ()))}) or os.cpu_count() or 1
    sockets = len(set(fields.get("physical id", ()))) or 1
    label = (fields.get("model name") or [platform.processor()])[0]
    if sys.platform == "darwin":
        label = _sysctl("machdep.cpu.brand_string").strip()
        cores = int(_sysctl("hw.physicalcpu").strip() or cores)
        if arm:
            flags = {flag for flag, name in _SYSCTL_ARM.items() if _sysctl(f"hw.optional.arm.{name}", f"hw.optional.{name}").split()[:1] == ["1"]}
        else:
            flags = {f.lower().replace(".", "_") for f in _sysctl("machdep.cpu.features", "machdep.cpu.leaf7_features").split()}
    found = {name: flag in flags for name, flag in names.items()}
    found.update(architecture="aarch64" if arm else "x86_64" if machine in ("x86_64", "amd64") else machine, cpu_name=label,
                 num_physical_cores=cores, num_logical_cores=os.cpu_count() or 1, num_sockets=sockets)
    for level, name in ((1, "l1d_cache_size"), (2, "l2_cache_size")):
        found[name] = _cache_bytes(level)
    return MappingProxyType(found)
