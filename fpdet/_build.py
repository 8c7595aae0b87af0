"""What was built, with what, and what is in use."""


def build_info():
    """How this installation was built and what it uses here.

    Returns:
        A dict of plain values. Of the build: version, commit, compiler, host_flags, instruction_sets (name to flags),
        cuda_compiler, cuda_architectures, cuda_flags, built_with_torch, torch_stable_abi, machine, canary (the names
        of floating-point checks that fail here: empty is good). Of this process: python, and where torch is installed
        torch, torch_cpu_capability, instruction_set (the one in use).
    """
    import importlib.util
    import json
    import platform
    from pathlib import Path

    from fpdet import _core

    info = json.loads((Path(__file__).parent / "_build_info.json").read_text())
    info["built_with_torch"] = info.pop("torch")
    info["canary"] = _core.canary()
    info["python"] = platform.python_version()
    if importlib.util.find_spec("torch"):
        import torch

        from fpdet import _library  # noqa: F401  (registers the ops)

        info["torch"] = torch.__version__
        info["torch_cpu_capability"] = torch.backends.cpu.get_cpu_capability()
        info["instruction_set"] = torch.ops.fpdet.instruction_set()
    return info
