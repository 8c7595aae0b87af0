"""What is compiled, with which flags: every build of fpdet is one `build.ninja` written here.

Three users: setup.py (the two libraries of the package), `make test-sanitizers` and `make test-aarch64`
(programs of tests/native). Per-file flags are the point, which is why this is not a generic extension builder:

* `csrc/cpu/kernels/*.cpp` are compiled once per instruction set, everything else once with portable flags;
* no flag here lets the compiler contract, reorder or assume away anything, and warnings in our code are errors.
"""

from __future__ import annotations

import fcntl
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"

# -Wno-restrict: g++ 12 warns falsely about "text" + std::string (its bug 105651).
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Werror", "-Wno-restrict"]
FLOATING_POINT = ["-ffp-contract=off", "-frounding-math"]
HOST_FLAGS = ["-std=c++20", "-O3", "-fPIC", "-fvisibility=hidden", *FLOATING_POINT, *WARNINGS]
DEVICE_FLAGS = ["-fmad=false", "-ftz=false", "-prec-div=true", "-prec-sqrt=true"]

# The sets that kernels are compiled for. On x86 without AVX2 there is no FMA instruction and so no speed to win: the
# slow path serves those processors.
INSTRUCTION_SETS: dict[str, list[str]] = {"baseline": []}
if platform.machine() in ("x86_64", "AMD64"):
    INSTRUCTION_SETS = {
        "avx2": ["-mavx2", "-mfma", "-mf16c"],
        "avx512": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mfma", "-mf16c"],
    }

# Kernels that were slower at -O2. The others are written out in vectors; for them -O3 is mostly a longer build.
KERNELS_AT_O3 = {"broadcast.cpp", "emulated.cpp", "exact.cpp", "functions.cpp"}

TORCH_TARGET = "0x020a000000000000"  # the stable ABI of torch 2.10: one binary for it and everything later
DEFAULT_CUDA_ARCHITECTURES = "8.0;9.0+PTX"


class BuildError(RuntimeError):
    pass


@dataclass
class Plan:
    """Compile and link steps of one build folder; `run` writes them as build.ninja and executes it."""

    folder: Path
    compiler: str = field(default_factory=lambda: os.environ.get("CXX", "g++"))
    rules: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)

    def compile(self, source: Path, flags: list[str], tag: str = "", compiler: str | None = None) -> Path:
        name = str(source.relative_to(ROOT)).replace("/", ".")
        target = self.folder / f"{name}{'.' + tag if tag else ''}.o"
        # -MD, not -MMD: a changed torch or pybind11 rebuilds what includes it.
        command = [compiler or self.compiler, *flags, "-MD", "-MF", f"{target}.d", "-c", str(source), "-o", str(target)]
        self._step(target, [source], command, f"{name} {tag}".strip(), depfile=True)
        return target

    def link(self, target: Path, objects: list[Path], flags: list[str]) -> Path:
        self._step(
            target, objects, [self.compiler, "-o", str(target), *map(str, objects), *flags], f"link {target.name}"
        )
        return target

    def _step(self, target: Path, inputs: list[Path], command: list[str], label: str, depfile: bool = False) -> None:
        rule = f"step{len(self.rules)}"
        words = " ".join(_quoted(word) for word in command).replace("$", "$$")
        depends = f"\n  depfile = {target}.d\n  deps = gcc" if depfile else ""
        self.rules.append(f"rule {rule}\n  command = {words}\n  description = {label}{depends}\n")
        self.steps.append(f"build {_path(target)}: {rule} {' '.join(map(_path, inputs))}\n")

    def run(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [*_ninja(), "-C", str(self.folder), "--quiet", "-k", "0"]  # show every error at once
        if jobs := os.environ.get("MAX_JOBS"):
            command += ["-j", jobs]
        with open(self.folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # ninja does not guard its log against a second ninja
            text = ["ninja_required_version = 1.8\n", *self.rules, *self.steps]
            _write_if_changed(self.folder / "build.ninja", "\n".join(text))
            if subprocess.run(command, stdout=sys.stderr).returncode != 0:
                raise BuildError(f"the build in {self.folder} failed; the compiler's messages stand above")


def _quoted(word: str) -> str:
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word) else "'" + word.replace("'", "'\\''") + "'"


def _path(path: Path) -> str:
    return re.sub(r"([ :$])", r"$\1", str(path))


def _ninja() -> list[str]:
    if importlib.util.find_spec("ninja"):
        return [sys.executable, "-m", "ninja"]
    if found := shutil.which("ninja"):
        return [found]
    raise BuildError("ninja is missing: pip install ninja")


def _write_if_changed(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def _sources(folder: str, pattern: str = "*.cpp") -> list[Path]:
    return sorted((CSRC / folder).glob(pattern))


def _includes(*folders: str | Path) -> list[str]:
    """Our headers as ours, other projects' as system headers: warnings are for our code."""
    return [f"-I{CSRC}", *(word for folder in folders for word in ("-isystem", str(folder)))]


# ---------------------------------------------------------------------------------------------------- libraries


def core_module(plan: Plan, target: Path) -> Path:
    """fpdet._core: the arithmetic of csrc/core for NumPy arrays; knows nothing of torch."""
    import pybind11

    flags = HOST_FLAGS + _includes(pybind11.get_include(), sysconfig.get_path("include"))
    return plan.link(target, [plan.compile(source, flags) for source in _sources("python")], ["-shared"])


def cpu_objects(plan: Plan, instruction_sets: dict[str, list[str]], extra_flags: Sequence[str] = ()) -> list[Path]:
    flags = [*HOST_FLAGS, *_includes(), *extra_flags]
    present = [f"-DFPDET_HAS_{name.upper()}" for name in instruction_sets]
    # Portable first: where a template of the standard library stays out of line, the linker keeps the first copy it
    # meets, and that one must run on every processor. (Our own functions live in one namespace per instruction set.)
    objects = [plan.compile(source, [*flags, *present]) for source in _sources("cpu")]
    for name, instructions in instruction_sets.items():
        kernel_flags = [*flags, *instructions, f"-DFPDET_TARGET={name}"]
        for source in _sources("cpu/kernels"):
            level = "-O3" if source.name in KERNELS_AT_O3 else "-O2"
            objects.append(plan.compile(source, [*kernel_flags, level, *extra_flags], name))
    return objects


def torch_library(plan: Plan, target: Path) -> Path:
    """fpdet._C: a plain shared object for torch.ops.load_library, against torch's stable ABI."""
    torch = _torch_folder()
    include = torch / "include"
    flags = [*HOST_FLAGS, f"-DTORCH_TARGET_VERSION={TORCH_TARGET}"]
    flags += _includes(include, include / "torch" / "csrc" / "api" / "include")
    nvcc = cuda_compiler()
    if nvcc:
        flags += ["-DFPDET_HAS_CUDA", cuda_architectures_macro()]
    objects = [plan.compile(source, flags) for source in _sources("torch")]
    objects += cpu_objects(plan, INSTRUCTION_SETS)
    # -z defs: a symbol that torch does not have is an error now, not at the first call.
    libraries = ["-shared", "-Wl,-z,defs", "-Wl,--as-needed", f"-L{torch / 'lib'}", "-ltorch_cpu", "-lc10"]
    if nvcc:
        objects += [plan.compile(source, [*HOST_FLAGS, *_includes()]) for source in _sources("cuda")]
        objects += [plan.compile(source, cuda_flags(), compiler=nvcc) for source in _sources("cuda", "*.cu")]
        folders = [f"-L{cuda_toolkit(nvcc) / name}" for name in ("lib64", "lib")]
        # Hidden: names that torch's own CUDA runtime has too must not be bound to that one.
        libraries += [*folders, "-lcudart_static", "-Wl,--exclude-libs,libcudart_static.a", "-ldl", "-lrt", "-lpthread"]
    return plan.link(target, objects, libraries)


def _torch_folder() -> Path:
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        raise BuildError("torch >= 2.10 must be installed before fpdet is built (pip install --no-build-isolation)")
    return Path(spec.origin).parent


# --------------------------------------------------------------------------------------------------------- CUDA


def cuda_compiler() -> str | None:
    """nvcc when CUDA kernels are to be built, by FPDET_CUDA=auto|0|1; a GPU's presence decides nothing."""
    wish = os.environ.get("FPDET_CUDA", "auto")
    if wish not in ("auto", "0", "1"):
        raise BuildError(f"FPDET_CUDA must be auto, 0 or 1; got {wish!r}")
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    nvcc = shutil.which("nvcc", path=str(Path(home) / "bin")) if home else shutil.which("nvcc")
    if wish == "1" and not _sources("cuda", "*.cu"):
        raise BuildError("FPDET_CUDA=1, but this version of fpdet has no CUDA kernels yet: unset it, or use auto or 0")
    if wish == "1" and nvcc is None:
        raise BuildError("FPDET_CUDA=1, but nvcc was found neither in CUDA_HOME nor in PATH")
    return nvcc if wish != "0" and _sources("cuda", "*.cu") else None


def cuda_toolkit(nvcc: str) -> Path:
    """The folder that nvcc itself calls its own: the one in PATH may be a script or a link."""
    told = subprocess.run([nvcc, "--dryrun", "-x", "cu", os.devnull], capture_output=True, text=True).stderr
    if found := re.search(r"^#\$ TOP=(.+)$", told, re.MULTILINE):
        return Path(found[1])
    raise BuildError(f"{nvcc} --dryrun does not say where the CUDA toolkit is:\n{told}")


def cuda_architectures() -> list[str]:
    """Words like 8.0 or 9.0a or 9.0+PTX, from TORCH_CUDA_ARCH_LIST."""
    words = re.split(r"[;,\s]+", os.environ.get("TORCH_CUDA_ARCH_LIST", "").strip() or DEFAULT_CUDA_ARCHITECTURES)
    for word in words:
        if not re.fullmatch(r"\d+\.\d[af]?(\+PTX)?", word):
            raise BuildError(f"TORCH_CUDA_ARCH_LIST: expected entries like 8.0, 9.0a or 9.0+PTX; got {word!r}")
    return words


def cuda_architectures_macro() -> str:
    """Tells the sources what they are compiled for (csrc/cuda/device.h)."""
    return '-DFPDET_CUDA_ARCHITECTURES="' + " ".join(cuda_architectures()) + '"'


def cuda_flags() -> list[str]:
    host = ["-fPIC", "-fvisibility=hidden", *FLOATING_POINT, "-Wall", "-Wextra", "-Werror"]
    flags = ["-std=c++20", "-O3", *DEVICE_FLAGS, *_includes(), "-Xcompiler=" + ",".join(host)]
    flags += [cuda_architectures_macro(), "-Werror=all-warnings"]
    for word in cuda_architectures():
        number = word.removesuffix("+PTX").replace(".", "")
        flags.append(f"-gencode=arch=compute_{number},code=sm_{number}")
        if word.endswith("+PTX"):
            flags.append(f"-gencode=arch=compute_{number},code=compute_{number}")
    return flags


# --------------------------------------------------------------------------------------------------- build info


def build_info(version: str) -> dict:
    """What fpdet.build_info() reports about the build; nothing of the time or place, so that it reproduces."""
    compiler = os.environ.get("CXX", "g++")
    nvcc = cuda_compiler()
    return {
        "version": version,
        "commit": _commit(),
        "compiler": _first_line([compiler, "--version"]),
        "host_flags": HOST_FLAGS,
        "instruction_sets": INSTRUCTION_SETS,
        "cuda_compiler": _first_line([nvcc, "--version"], -1) if nvcc else None,
        "cuda_architectures": cuda_architectures() if nvcc else [],
        "cuda_flags": DEVICE_FLAGS if nvcc else [],
        "torch": importlib.metadata.version("torch"),
        "torch_stable_abi": TORCH_TARGET,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def write_build_info(path: Path, version: str) -> None:
    _write_if_changed(path, json.dumps(build_info(version), indent=2) + "\n")


def _first_line(command: list[str], line: int = 0) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().splitlines()[line]
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildError(f"fpdet needs a C++20 compiler (g++ >= 12): {' '.join(command)} failed: {error}") from None


def _commit() -> str | None:
    if given := os.environ.get("FPDET_COMMIT"):
        return given
    if not (ROOT / ".git").exists():
        return None
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
