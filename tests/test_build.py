"""What is promised about the build: flags, headers, refusals, README. Compilers run two at a time."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "csrc" / "core"
HEADERS = sorted(CORE.rglob("*.h"))
sys.path.insert(0, str(ROOT / "csrc" / "build"))

import plan  # noqa: E402

GXX = os.environ.get("CXX", "g++")
STRICT = ["-std=c++20", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
FAST_MATH = "-f" + "fast-math"

needs_compiler = pytest.mark.skipif(shutil.which(GXX) is None, reason="no C++ compiler")
needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc")


def run(command, **kwargs):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, **kwargs)


def compile_each(command_of, sources):
    """Messages of the compilers that failed, by file name."""
    with ThreadPoolExecutor(2) as pool:
        done = pool.map(lambda source: (source.name, run(command_of(source))), sources)
    return {name: result.stderr for name, result in done if result.returncode != 0}


def lone_header(folder, header, suffix):
    source = folder / f"{header.stem}{suffix}"
    source.write_text(f'#include "{header.relative_to(CORE.parent)}"\n')
    return source


# ------------------------------------------------------------------------------------------------ headers


@needs_compiler
def test_every_core_header_compiles_alone(tmp_path):
    assert HEADERS
    sources = [lone_header(tmp_path, header, ".cpp") for header in HEADERS]
    failed = compile_each(lambda source: [GXX, *STRICT, f"-I{ROOT / 'csrc'}", "-fsyntax-only", source], sources)
    assert not failed, "\n".join(failed.values())


@needs_nvcc
def test_every_core_header_compiles_alone_with_nvcc(tmp_path):
    """Front end and device code generation, to PTX; the host pass has the same warnings as errors."""
    sources = [lone_header(tmp_path, header, ".cu") for header in HEADERS]
    flags = ["-std=c++20", *plan.DEVICE_FLAGS, "-Werror=all-warnings", "-Xcompiler=-Wall,-Wextra,-Wconversion,-Werror"]
    failed = compile_each(
        lambda source: ["nvcc", *flags, f"-I{ROOT / 'csrc'}", "-arch=compute_80", "-c", source, "-o", f"{source}.o"],
        sources,
    )
    assert not failed, "\n".join(failed.values())


def includes(path):
    return re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', path.read_text(), re.MULTILINE)


FOREIGN = re.compile(r"(^|/)(torch|ATen|c10|pybind11|Python\.h|cuda|cuda_runtime\.h|numpy)")


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header.name)
def test_core_includes_no_framework(header):
    assert not [name for name in includes(header) if FOREIGN.search(name)]


@pytest.mark.parametrize("folder", ["cpu", "cuda", "python"])
def test_torch_is_included_in_csrc_torch_alone(folder):
    sources = [path for path in (ROOT / "csrc" / folder).rglob("*") if path.suffix in (".h", ".cpp", ".cu")]
    torch = re.compile(r"^(torch|ATen|c10)/")
    assert not {str(path): bad for path in sources if (bad := [n for n in includes(path) if torch.search(n)])}


def test_the_include_rule_sees_what_it_forbids(tmp_path):
    bad = tmp_path / "bad.h"
    bad.write_text("#include <torch/all.h>\n#  include <ATen/ATen.h>\n#include <Python.h>\n#include <cuda_runtime.h>\n")
    assert len([name for name in includes(bad) if FOREIGN.search(name)]) == 4


# ---------------------------------------------------------------------------------------------- refusals


@needs_compiler
@pytest.mark.parametrize(
    "flags",
    [
        [FAST_MATH],
        ["-funsafe-math-optimizations"],
        ["-ffinite-math-only"],
        ["-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math"],
        ["-freciprocal-math"],
    ],
    ids=lambda flags: flags[0][2:],
)
def test_flags_that_change_bits_are_refused(flags, tmp_path):
    source = lone_header(tmp_path, CORE / "config.h", ".cpp")
    command = [GXX, *STRICT, f"-I{ROOT / 'csrc'}", "-fsyntax-only", source]
    assert run(command).returncode == 0
    refused = run([*command, *flags])
    assert refused.returncode != 0
    assert "fpdet: refusing to build with" in refused.stderr


@needs_compiler
@pytest.mark.parametrize("contract, objections", [("off", set()), ("fast", {"no_contraction_float32"})])
def test_canary_sees_contraction(contract, objections, tmp_path):
    """The control: where the compiler may fuse a*b + c, the canary says so."""
    if "avx2" in plan.INSTRUCTION_SETS and " fma " not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor has no fused multiply-add")
    source = tmp_path / "canary.cpp"
    source.write_text(
        '#include <cstdio>\n#include "core/canary.h"\n'
        'int main() { for (const auto& name : fpdet::canary()) std::printf("%s\\n", name.c_str()); }\n'
    )
    flags = [flag for flag in plan.HOST_FLAGS if not flag.startswith("-ffp-contract")]
    command = [GXX, *flags, *plan.INSTRUCTION_SETS.get("avx2", []), f"-ffp-contract={contract}", f"-I{ROOT / 'csrc'}"]
    built = run([*command, source, "-o", tmp_path / "canary"])
    assert built.returncode == 0, built.stderr
    found = set(run([tmp_path / "canary"]).stdout.split())
    assert objections <= found if objections else not found


def test_canary_of_the_built_module_is_content():
    import fpdet.core

    assert list(fpdet.core.canary()) == []


def test_no_flag_lets_the_compiler_change_bits():
    flags = [*plan.HOST_FLAGS, *plan.DEVICE_FLAGS, *(flag for set_ in plan.INSTRUCTION_SETS.values() for flag in set_)]
    assert "-ffp-contract=off" in flags and "-frounding-math" in flags and "-fmad=false" in flags
    assert not [flag for flag in flags if "fast" in flag or "unsafe" in flag or flag == "-march=native"]


# ----------------------------------------------------------------------------------------------- switches


def sources_with_cuda(monkeypatch, tmp_path):
    (tmp_path / "cuda").mkdir()
    (tmp_path / "cuda" / "kernel.cu").write_text("")
    monkeypatch.setattr(plan, "CSRC", tmp_path)


def test_cuda_switch_refuses_other_words(monkeypatch):
    monkeypatch.setenv("FPDET_CUDA", "yes")
    with pytest.raises(plan.BuildError, match="FPDET_CUDA must be auto, 0 or 1; got 'yes'"):
        plan.cuda_compiler()


def test_cuda_1_without_nvcc_is_an_error(monkeypatch, tmp_path):
    sources_with_cuda(monkeypatch, tmp_path)
    monkeypatch.setenv("FPDET_CUDA", "1")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_HOME", raising=False)
    monkeypatch.delenv("CUDA_PATH", raising=False)
    with pytest.raises(plan.BuildError, match="nvcc was found neither in CUDA_HOME nor in PATH"):
        plan.cuda_compiler()
    monkeypatch.setenv("FPDET_CUDA", "auto")
    assert plan.cuda_compiler() is None


def test_cuda_1_without_kernels_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(plan, "CSRC", tmp_path)
    monkeypatch.setenv("FPDET_CUDA", "1")
    with pytest.raises(plan.BuildError, match="no CUDA kernels"):
        plan.cuda_compiler()


@needs_nvcc
def test_cuda_0_leaves_nvcc_alone(monkeypatch, tmp_path):
    sources_with_cuda(monkeypatch, tmp_path)
    monkeypatch.delenv("FPDET_CUDA", raising=False)
    assert plan.cuda_compiler() is not None
    monkeypatch.setenv("FPDET_CUDA", "0")
    assert plan.cuda_compiler() is None


def test_cuda_architectures(monkeypatch):
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "8.0;9.0a 10.0+PTX")
    assert plan.cuda_architectures() == ["8.0", "9.0a", "10.0+PTX"]
    assert "-gencode=arch=compute_90a,code=sm_90a" in plan.cuda_flags()
    assert "-gencode=arch=compute_100,code=compute_100" in plan.cuda_flags()
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "Hopper")
    with pytest.raises(plan.BuildError, match=r"TORCH_CUDA_ARCH_LIST.*got 'Hopper'"):
        plan.cuda_architectures()


@needs_nvcc
@needs_compiler
def test_cuda_flags_build_a_kernel_over_core(monkeypatch, tmp_path):
    """With the package's own flags the rounding is in the instruction, and the control is: no fused multiply-add."""
    kernel = tmp_path / "kernel.cu"
    kernel.write_text(
        '#include "core/arith.h"\n'
        "__global__ void kernel(float* x, float* y) {\n"
        "  x[0] = fpdet::ieee_add<fpdet::Rounding::Upward>(x[1], x[2]);\n"
        "  y[0] = y[1] * y[2] + y[3];\n"
        "}\n"
    )
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "9.0+PTX")
    built = run(["nvcc", *plan.cuda_flags(), "-c", "--keep", "--keep-dir", tmp_path, kernel, "-o", tmp_path / "k.o"])
    assert built.returncode == 0, built.stderr
    text = (tmp_path / "kernel.ptx").read_text()
    assert "add.rp.f32" in text
    assert "fma" not in text and ".ftz" not in text


# --------------------------------------------------------------------------------------------- build info


def test_build_info_tells_what_was_built():
    import fpdet

    info = fpdet.build_info()
    keys = {
        "version",
        "commit",
        "compiler",
        "host_flags",
        "instruction_sets",
        "cuda_compiler",
        "cuda_architectures",
        "torch",
        "python",
    }
    assert keys <= set(info), f"missing: {keys - set(info)}"
    assert "-ffp-contract=off" in info["host_flags"]
    assert info["instruction_sets"] and all(info["instruction_sets"].values())


def test_instruction_sets_are_what_the_objects_hold():
    """Wide registers in the kernels of their instruction set, none outside."""
    objects = ROOT / "build" / f"native-{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
    if not objects.exists() or shutil.which("objdump") is None or "avx512" not in plan.INSTRUCTION_SETS:
        pytest.skip("needs the build folder of this machine, objdump and x86-64")
    widest = {}
    for path in sorted(objects.glob("csrc.*.o")):
        name = path.name.removesuffix(".o").rpartition(".")[2]
        text = run(["objdump", "-d", "--no-show-raw-insn", path]).stdout
        assert ("%zmm" in text) <= (name == "avx512"), path.name
        assert ("%ymm" in text) <= (name in ("avx2", "avx512")), path.name
        widest.setdefault(name, set()).update(width for width in ("%zmm", "%ymm") if width in text)
    assert "%zmm" in widest["avx512"] and "%ymm" in widest["avx2"]


# ------------------------------------------------------------------------------------------------- README


def readme_programs():
    """(program, the output printed below it or None)."""
    readme = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", readme, re.MULTILINE | re.DOTALL)
    return [(program, output or None) for program, output in blocks]


@pytest.mark.parametrize("number, program, output", [(i, *block) for i, block in enumerate(readme_programs())])
def test_readme_programs_print_what_the_readme_says(number, program, output, tmp_path):
    done = run([sys.executable, "-c", program], cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    assert output is None or done.stdout == output


def test_readme_has_programs():
    assert [output is not None for _, output in readme_programs()] == [True, True, False]
