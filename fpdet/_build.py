"""What was built, with what, and what is in use."""


def build_info():
    """A dict: compiler, flags, instruction sets compiled and in use, CUDA architectures, torch, commit.

    The torch entries appear when torch is installed; building facts come from the compiled core.
    """
    import importlib.util
    import platform

    import fpdet
    from fpdet import _core

    info = {"fpdet": fpdet.__version__, **_core.build_info(), "python": platform.python_version()}
    if importlib.util.find_spec("torch"):
        import torch

        from fpdet._library import shared_object

        info["torch"] = torch.__version__
        info["torch_cpu_capability"] = torch.backends.cpu.get_cpu_capability()
        info["ops"] = shared_object().name
    return info
