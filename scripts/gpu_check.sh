#!/usr/bin/env bash
# Settles on a machine with an NVIDIA GPU, nvcc and a CUDA build of torch what a machine without one
# cannot: builds, then bits against the recorded ones, the CUDA tests, compute-sanitizer, timings. Every
# step runs, whatever became of the one before; the status is 1 if any failed. Needs no network.
#
#   scripts/gpu_check.sh [FOLDER]      records and logs go to FOLDER (default: gpu-check)
#
# PYTHON names the interpreter (default: python3), whose environment has torch, numpy, pybind11, ninja,
# setuptools, pytest. Architectures: those of the machine's GPU, unless TORCH_CUDA_ARCH_LIST is set.
set -uo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
folder=$(realpath -m "${1:-gpu-check}")
mkdir -p "$folder"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" FPDET_CUDA=1
failed=()

# step NAME SECONDS COMMAND...: its output to FOLDER/NAME.log, its last lines to the screen.
step() {
  local name=$1 limit=$2 start=$SECONDS status
  shift 2
  timeout "$limit" "$@" >"$folder/$name.log" 2>&1
  status=$?
  echo "== $name: status $status, $((SECONDS - start)) s"
  tail -n 12 "$folder/$name.log"
  if [ "$status" -ne 0 ]; then failed+=("$name"); fi
}

if [ -z "${TORCH_CUDA_ARCH_LIST:-}" ]; then
  TORCH_CUDA_ARCH_LIST=$("$python" -c 'import torch; print("{}.{}".format(*torch.cuda.get_device_capability()))') || exit 1
  export TORCH_CUDA_ARCH_LIST
fi
step build 180 "$python" setup.py --quiet build_ext --inplace
step conformance 60 "$python" -m fpdet conformance --device cuda --out "$folder" --mutants
step tests 60 "$python" -m pytest -q tests/test_cuda_device.py
# One tool at a time over a few cases of every kind of kernel.
for tool in memcheck racecheck synccheck; do
  if command -v compute-sanitizer >/dev/null; then
    step "$tool" 40 compute-sanitizer --tool "$tool" --error-exitcode 1 \
      "$python" tests/sanitizer_cases.py
  else
    echo "== $tool: compute-sanitizer is not there"
    failed+=("$tool")
  fi
done
step bench 120 "$python" -m benchmarks.gpu --out "$folder"
if [ ${#failed[@]} -ne 0 ]; then
  echo "FAILED: ${failed[*]}; logs in $folder"
  exit 1
fi
echo "all passed; records in $folder"
