"""Builds fpdet/_core (NumPy arithmetic) and fpdet/_C (torch ops). The sources and flags stand in csrc/build/plan.py."""

import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "csrc" / "build"))
import plan  # noqa: E402


class BuildWithNinja(build_ext):
    def get_ext_filename(self, fullname):
        # fpdet._C is loaded by torch.ops.load_library, not imported: it serves every Python version.
        if fullname.rpartition(".")[2] == "_C":
            return "fpdet/_C.so"
        return super().get_ext_filename(fullname)

    def run(self):
        inplace = self.inplace or getattr(self, "editable_mode", False)
        package = (ROOT if inplace else Path(self.build_lib).resolve()) / "fpdet"
        package.mkdir(parents=True, exist_ok=True)
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        native = plan.Plan(ROOT / "build" / f"native-{sysconfig.get_platform()}-{sys.implementation.cache_tag}")
        try:
            plan.core_module(native, package / f"_core{suffix}")
            if any((ROOT / "csrc" / "torch").glob("*.cpp")):
                plan.torch_library(native, package / "_C.so")
            plan.write_build_info(package / "_build_info.json", self.distribution.get_version())
            native.run()
        except plan.BuildError as error:
            raise CompileError(str(error)) from None


setup(
    ext_modules=[Extension("fpdet._core", []), Extension("fpdet._C", [])],
    cmdclass={"build_ext": BuildWithNinja},
)
