"""The executor of a Ray cluster: each unit is a task.

Ray retries nothing here; a lost worker is answered by `executors.finished`, as everywhere. A node computes only if its
fpdet and torch are those of the driver, and every task looks again, since nodes may join later.
"""

import logging
import os
import pickle
import socket
import sys
import time
from contextlib import contextmanager

from fpdet.experiments import work
from fpdet.experiments.config import ConfigError
from fpdet.experiments.store import identity

PATIENCE = 5  # seconds that an address may take to answer
SETTINGS = 4  # the frame that either side of HTTP/2 sends first (RFC 9113, section 3.4)
LOOK = 120  # seconds that a node may take to import fpdet


class Cluster:
    """The Ray cluster at an address (HOST:PORT, or auto: the one of this machine), or one that lasts for the run.

    Raises:
        ConfigError: Ray is not installed, or no such address can be.
    """

    def __init__(self, workers=None, address=None):
        self.workers = workers
        self.address = address
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray warns of its default
        try:
            import ray
        except ModuleNotFoundError as error:
            if error.name != "ray":
                raise
            raise ConfigError("--executor ray: expected Ray, not installed; pip install 'fpdet[ray]'") from None
        self.ray = ray
        if address is not None and address != "auto":
            _host_port(address)

    def processors(self, threads):
        """How many of this machine's processors a run would keep busy."""
        return threads * self._here(threads) if self.address is None else 0

    def _here(self, threads):
        return self.workers or max(1, work.available_threads() // threads)

    @contextmanager
    def started(self, shared):
        threads = shared.settings.threads
        if self.ray.is_initialized():
            raise ConfigError(
                "--executor ray: expected a process that has not called ray.init, got one that has; call ray.shutdown()"
            )
        try:
            if self.address is None:
                self._start(threads)
            else:
                self._connect()
            pool = _Tasks(self.ray, shared, self.workers)
            pool.check()
            yield pool
        finally:
            self.ray.shutdown()

    def _start(self, threads):
        with _path_for_children():
            self.ray.init(
                "local",
                num_cpus=threads * self._here(threads),
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )

    def _connect(self):
        what = "a Ray cluster that runs (ray start --head says its HOST:PORT)"
        try:
            if self.address != "auto":
                _greet(*_host_port(self.address))
            self.ray.init(self.address, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, RuntimeError, ValueError, self.ray.exceptions.RayError) as error:
            text = " ".join(str(error).split())
            raise ConfigError(
                f"--address: expected {what}, got {self.address!r}: {type(error).__name__}: {text}; "
                "leave it out to have one started for this run"
            ) from None


@contextmanager
def _path_for_children():
    """Processes that start meanwhile import from where this one does."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    try:
        yield
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


def _host_port(address):
    host, colon, port = address.rpartition(":")
    if not (colon and host and "/" not in host and port.isdecimal() and 0 < int(port) < 65536):
        raise ConfigError(f"--address: expected HOST:PORT or auto, got {address!r}")
    return host.strip("[]"), int(port)


def _greet(host, port):
    """Raise OSError unless a gRPC server answers there; Ray itself would try for minutes."""
    with socket.create_connection((host, port), PATIENCE) as line:
        if os.environ.get("RAY_USE_TLS", "0") == "1":
            return
        line.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, SETTINGS, 0, 0, 0, 0, 0)))
        line.settimeout(PATIENCE)
        head = b""
        while len(head) < 4 and (more := line.recv(4 - len(head))):
            head += more
    if len(head) < 4 or head[3] != SETTINGS:
        raise ConnectionError(f"what answers speaks no gRPC, it sent {head!r}")


class _Tasks:
    """The tasks of one run."""

    def __init__(self, ray, shared, most):
        self.ray = ray
        self.threads = shared.settings.threads
        self.most = most
        self.driver = identity()
        self.shared = ray.put(pickle.dumps(shared))
        self.needed = {}  # index -> what a later unit needs of that one, put once
        self.indices = {}  # task -> index of the units that run
        options = {"num_cpus": self.threads, "max_retries": 0, "retry_exceptions": False}
        self.answer = ray.remote(**options)(_answer)
        lost = ray.exceptions
        self.lost = (
            lost.WorkerCrashedError,
            lost.ActorDiedError,
            lost.NodeDiedError,
            lost.LocalRayletDiedError,
            lost.ObjectLostError,
            lost.OutOfMemoryError,  # Ray ended the worker since its node ran short
        )

    def _nodes(self):
        """{id: (address, processors)} of the nodes that are there."""
        return {
            node["NodeID"]: (node["NodeManagerAddress"], int(node["Resources"].get("CPU", 0)))
            for node in self.ray.nodes()
            if node["Alive"]
        }

    @property
    def slots(self):
        room = sum(processors // self.threads for _, processors in self._nodes().values())
        return room if self.most is None else min(room, self.most)

    def check(self):
        """Raise ConfigError unless there is a node large enough, and all such nodes compute with this library."""
        nodes = self._nodes()
        largest = max((processors for _, processors in nodes.values()), default=0)
        if largest < self.threads:
            raise ConfigError(
                f"threads: expected at most {largest}, the processors of the cluster's largest node, "
                f"got {self.threads}; --set threads={max(largest, 1)}"
            )
        place = self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        look = self.ray.remote(num_cpus=0, max_retries=0)(work.check_build)
        looks = {
            address: look.options(scheduling_strategy=place(node, soft=False)).remote(self.driver)
            for node, (address, processors) in nodes.items()
            if processors >= self.threads
        }
        for address, ref in looks.items():
            try:
                self.ray.get(ref, timeout=LOOK)
            except self.ray.exceptions.RayError as error:
                raise ConfigError(
                    f"--executor ray: expected a node that computes with this fpdet, got {address}: "
                    f"{_first_line(error)}"
                ) from None

    def submit(self, index, unit, fetch):
        for need in unit.needs:
            if need not in self.needed:
                self.needed[need] = self.ray.put(pickle.dumps(fetch(need)))
        pairs = (self.needed[need] for need in unit.needs)
        task = self.answer.remote(self.driver, self.shared, unit, *pairs)
        self.indices[task] = index

    def next(self, on_step):
        if not self.indices:  # no node: one may join
            time.sleep(1)
            return None
        ready, _ = self.ray.wait(list(self.indices), num_returns=1, timeout=1)
        if not ready:
            return None
        index = self.indices.pop(ready[0])
        try:
            return index, pickle.loads(self.ray.get(ready[0]))
        except self.lost as error:
            return index, work.Lost(f"{type(error).__name__}: {_first_line(error).partition('. ')[0]}")


def _answer(driver, shared, unit, *pairs):
    return work.answer(driver, shared, unit, dict(zip(unit.needs, pairs, strict=True)), lambda share: None)


def _first_line(error):
    cause = getattr(error, "cause", None) or error
    return str(cause).strip().partition("\n")[0]
