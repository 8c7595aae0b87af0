# Each target does all of its own set-up in .venv. Needs: Python >= 3.10 with venv, g++ >= 12, make.
#
#   make demo                 the experiment: how much of the spread comes from rounding, order, seed
#   make test                 all tests                    (PYTEST_ARGS="-k conv" for some)
#   make bench                speed beside torch's    (BENCH_ARGS)
#   make prove FUNCTION=exp   an elementary function on every float32, and the record of it
#   make lint / make format   ruff and clang-format: check / rewrite
#   make test-sanitizers      core and CPU kernels under ASan and UBSan
#   make test-aarch64         the same programs cross-compiled, under qemu
#   make wheel                dist/*.whl; make test-wheel installs it where there is no compiler
#   make golden               rewrite tests/native/golden (a changed digest needs a CHANGELOG line)

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP_INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt
CXX_FILES = $(wildcard csrc/*/*.h csrc/*/*.cpp csrc/*/*.cu csrc/*/*.cuh csrc/core/functions/*.h csrc/cpu/kernels/*.h csrc/cpu/kernels/*.cpp tests/native/*.cpp tests/native/*.h)
.DEFAULT_GOAL := help
.PHONY: help build demo test bench prove lint format test-sanitizers test-aarch64 test-native golden wheel test-wheel clean

help:
	@sed -n '3,12s/^# \{0,1\}//p' Makefile

# ---- set-up ----------------------------------------------------------------------------------------

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 10) else f"fpdet needs Python >= 3.10, got {v[0]}.{v[1]} (make PYTHON=python3.x)")'
	$(PYTHON) -m venv $(VENV) || { echo 'python venv is missing (Debian: apt-get install python3-venv)'; exit 1; }
	@touch $@

# torch and the build tools first: the package is built against the torch that is installed.
$(VENV)/.tools: $(VENV)/.created constraints.txt
	$(PIP_INSTALL) torch numpy pybind11 ninja setuptools wheel
	@touch $@

$(VENV)/.installed: $(VENV)/.tools pyproject.toml setup.py
	$(PIP_INSTALL) --no-build-isolation -e '.[demo,bench,test,lint]'
	@touch $@

build: $(VENV)/.installed
	$(PY) setup.py --quiet build_ext --inplace

# ---- use -------------------------------------------------------------------------------------------

demo: build
	$(PY) -m fpdet run sources $(DEMO_ARGS)

test: build
	$(PY) -m pytest $(PYTEST_ARGS)

bench: build
	$(PY) -m fpdet bench $(BENCH_ARGS)

prove: build
	$(PY) -m fpdet prove $(FUNCTION)

lint: $(VENV)/.installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/clang-format --dry-run -Werror $(CXX_FILES)

format: $(VENV)/.installed
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	$(VENV)/bin/clang-format -i $(CXX_FILES)

# ---- the torch-free programs of tests/native ---------------------------------------------------------

test-native: $(VENV)/.tools
	$(PY) csrc/build/native.py host

test-sanitizers: $(VENV)/.tools
	$(PY) csrc/build/native.py sanitizers

test-aarch64: $(VENV)/.tools
	scripts/need-aarch64-tools
	$(PY) csrc/build/native.py aarch64

golden: $(VENV)/.tools
	$(PY) csrc/build/native.py host --write-golden

# ---- release -----------------------------------------------------------------------------------------

wheel: $(VENV)/.tools
	rm -rf build/lib* build/bdist* dist
	$(PY) -m pip wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps -w dist .
	@ls dist

test-wheel: wheel
	scripts/test-wheel dist/*.whl

clean:
	rm -rf build dist *.egg-info fpdet/*.so fpdet/_build_info.json
