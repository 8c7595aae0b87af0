"""Processes of a gloo group for the tests of fpdet.distributed: forked from a server that has imported torch once."""

import multiprocessing
import os
import queue
import socket
import traceback
from datetime import timedelta

_PRELOAD = ["torch", "torch._dynamo", "torch.nn.parallel", "fpdet.distributed", "fpdet.distributed.example"]


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def _enter(task, rank, size, port, arguments, results):
    import torch
    import torch.distributed as dist

    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE=str(size))
    torch.set_num_threads(1)
    try:
        dist.init_process_group("gloo", timeout=timedelta(seconds=60))
        results.put((rank, task(rank, size, *arguments)))
        dist.destroy_process_group()
    except BaseException:
        results.put((rank, RuntimeError(traceback.format_exc())))
        raise


def run(task, size, *arguments, silent=(), seconds=60):
    """[task(rank, size, *arguments) of each rank]; ranks in `silent` are to die without an answer: None."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_PRELOAD, task.__module__])
    results, port = context.Queue(), free_port()
    processes = [
        context.Process(target=_enter, args=(task, rank, size, port, arguments, results)) for rank in range(size)
    ]
    for process in processes:
        process.start()
    answers = [None] * size
    try:
        for _ in range(size - len(silent)):
            rank, answers[rank] = results.get(timeout=seconds)
            if isinstance(answers[rank], RuntimeError):
                raise answers[rank]
    except queue.Empty:
        raise TimeoutError(f"of {size} workers these answered within {seconds} s: {answers}") from None
    finally:
        for process in processes:
            process.join(5)
            if process.is_alive():
                process.kill()
    return answers
