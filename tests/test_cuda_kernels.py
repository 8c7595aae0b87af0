"""The CUDA kernels where there is no GPU: every thread of emulated launches, and the machine code that nvcc made."""

import re
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "csrc" / "build"))

import plan  # noqa: E402

GXX = plan.Plan(ROOT).compiler
needs_nvcc = pytest.mark.skipif(plan.cuda_compiler() is None, reason="no nvcc, or FPDET_CUDA=0: nothing to look at")


def run(command, **kwargs):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, **kwargs)


# ---------------------------------------------------------------------------------------- emulated launches


SLOW_PATHS = {
    "cuda_main": ("slow_contraction", "exact_stages"),
    "cuda_ops_main": ("slow_elementwise", "slow_unary", "slow_adam", "slow_gather_sum"),
}


@pytest.mark.skipif(shutil.which(GXX) is None, reason="no C++ compiler")
@pytest.mark.parametrize("program", SLOW_PATHS)
def test_every_thread_of_emulated_launches_gives_the_slow_paths_bits(program, tmp_path):
    """The bodies of the kernels, all ops, passes, orders and roundings, and the programs' own controls."""
    sources = [ROOT / "tests" / "native" / f"{program}.cpp"]
    sources += [ROOT / "csrc" / "cpu" / f"{name}.cpp" for name in SLOW_PATHS[program]]
    flags = [*plan.HOST_FLAGS, "-O1", f"-I{plan.CSRC}"]

    def compiled(source):
        return run([GXX, *flags, "-c", source, "-o", tmp_path / f"{source.stem}.o"])

    with ThreadPoolExecutor(2) as pool:
        for done in pool.map(compiled, sources):
            assert done.returncode == 0, done.stderr
    linked = run([GXX, *tmp_path.glob("*.o"), "-o", tmp_path / program, "-pthread"])
    assert linked.returncode == 0, linked.stderr
    ran = run([tmp_path / program])
    assert ran.returncode == 0, ran.stderr


# -------------------------------------------------------------------------------------------- machine code

KERNEL = re.compile(
    r"TileKernelINS0_9TileShapeI(?P<shape>(?:Li\d+E){7})EE(?P<element>[fd])(?P<accumulator>[fd])"
    r"LNS_8baseline8RoundingE(?P<rounding>\d)ELb(?P<fused>[01])E"
)
MODIFIERS = {"0": "", "2": ".RZ", "3": ".RP", "4": ".RM"}  # by the number of the rounding in core/rounding.h


def tool(name):
    """Of the packages nvidia-cuda-cuobjdump and nvidia-cuda-nvdisasm, or of the toolkit."""
    found = sorted(Path(sysconfig.get_path("purelib")).glob(f"nvidia/*/bin/{name}"))
    path = str(found[-1]) if found else shutil.which(name)
    assert path, f"{name}: expected it from pip install nvidia-cuda-{name} (extra test), or in PATH"
    return Path(path)


def machine_code(path):
    """{(architecture, function): lines of SASS} of an object."""
    dump = tool("cuobjdump")
    folders = f"{dump.parent}:{tool('nvdisasm').parent}:/usr/bin:/bin"
    done = run([dump, "-sass", path], env={"PATH": folders})
    assert done.returncode == 0, done.stderr
    code, architecture, lines = {}, "", []
    for line in done.stdout.splitlines():
        if found := re.search(r"code for (sm_\w+)", line):
            architecture = found[1]
        elif found := re.search(r"Function : (\S+)", line):
            lines = code.setdefault((architecture, found[1]), [])
        elif found := re.match(r"\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+ +)?(\S[^;]*);", line):
            lines.append(found[1].strip())
    return code


def objections(lines, accumulator, modifier, fused, one_term):
    """What is wrong with a tiled kernel's code."""
    letter = {"f": "F", "d": "D"}[accumulator]
    words = [line.split()[0] for line in lines]
    found = {name: [word for word in words if word.split(".")[0] == letter + name] for name in ("FMA", "MUL", "ADD")}
    wrong = []
    for name, instructions in found.items():
        bad = {word for word in instructions if word != letter + name + modifier}
        wrong += [f"{word}: expected {letter + name + modifier}" for word in sorted(bad)]
    wanted = {"FMA": one_term or fused, "MUL": one_term or not fused, "ADD": True}
    for name, is_wanted in wanted.items():
        if is_wanted and len(found[name]) < 16:
            wrong.append(f"{len(found[name])} {letter + name}: expected one for each of a thread's outputs")
        if not is_wanted and found[name]:
            wrong.append(f"{len(found[name])} {letter + name}: expected none, a contraction")
    local = sorted({word for word in words if re.match(r"(LDL|STL)\b", word)})
    return wrong + [f"{word}: expected nothing in local memory" for word in local]


@pytest.fixture(scope="module")
def kernels():
    """{(architecture, function): lines} of every tiled kernel of this build."""
    folder = ROOT / "build" / f"native-{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
    names = ("tile_float32", "tile_float64", "exact")
    paths = [folder / f"csrc.cuda.{name}.cu.o" for name in names]
    assert all(path.exists() for path in paths), "nvcc is there, the objects are not: build first (make build)"
    with ThreadPoolExecutor(2) as pool:
        code = {key: lines for found in pool.map(machine_code, paths) for key, lines in found.items()}
    return {key: lines for key, lines in code.items() if KERNEL.search(key[1])}


@needs_nvcc
def test_hot_kernels_round_in_the_instruction_and_stay_in_registers(kernels):
    wrong = []
    for (architecture, function), lines in kernels.items():
        kernel = KERNEL.search(function)
        levels = re.findall(r"\d+", kernel["shape"])[5]
        settings = (kernel["accumulator"], MODIFIERS[kernel["rounding"]], kernel["fused"] == "1", levels != "0")
        wrong += [f"{architecture} {kernel[0]}: {text}" for text in objections(lines, *settings)]
    assert not wrong, "\n".join(wrong)


@needs_nvcc
def test_every_rounding_and_accumulator_has_its_kernels(kernels):
    found = {(key[0], KERNEL.search(key[1])["accumulator"], KERNEL.search(key[1])["rounding"]) for key in kernels}
    architectures = {"sm_" + word.removesuffix("+PTX").replace(".", "") for word in plan.cuda_architectures()}
    assert found == {(a, t, r) for a in architectures for t in "fd" for r in MODIFIERS}


@needs_nvcc
def test_the_check_of_machine_code_sees_a_contraction_a_rounding_and_local_memory(tmp_path):
    source = tmp_path / "bad.cu"
    source.write_text(
        "__global__ void contracted(float* x) { x[0] = x[1] * x[2] + x[3]; }\n"
        "__global__ void local(float* x, int i) { volatile float y[64]; y[i] = x[0]; x[1] = y[i + 1]; }\n"
    )
    built = run([plan.cuda_compiler(), "-arch=sm_80", "-fmad=true", "-c", source, "-o", tmp_path / "bad.o"])
    assert built.returncode == 0, built.stderr
    code = {name: lines for (_, name), lines in machine_code(tmp_path / "bad.o").items()}
    contracted = objections(next(v for k, v in code.items() if "contracted" in k), "f", ".RZ", False, False)
    assert any("a contraction" in text for text in contracted)
    assert "FFMA: expected FFMA.RZ" in contracted
    local = objections(next(v for k, v in code.items() if "local" in k), "f", "", False, False)
    assert any("local memory" in text for text in local)


@needs_nvcc
def test_the_cuda_runtime_stays_inside_the_library():
    """Its names are those of torch's: bound to the wrong one, half of a call would go to each."""
    assert (plan.cuda_toolkit(plan.cuda_compiler()) / "include" / "cuda_runtime.h").exists()
    exported = run(["nm", "-D", "--defined-only", ROOT / "fpdet" / "_C.so"]).stdout
    assert not re.findall(r" [TWDB] (_*cuda\w+)", exported)
