#!/usr/bin/env bash
# Lint, format check, types and tests: `scripts/test.sh [arguments for pytest]`, for example `scripts/test.sh -k wire -x`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly USAGE="usage: scripts/test.sh [-h] [--serving] [arguments for pytest]

Sets up .venv if needed (scripts/setup.sh), then runs ruff check, ruff format --check, mypy and pytest, one process for each core, at most four.
All four run; the exit status is that of the first that fails, 0 if none does.
--serving makes vLLM's environment (scripts/serve_vllm.sh --setup: .venv-vllm or VLLM_VENV) and runs only the tests that need it, on
outputs/quickstart/merged if there is one. Once that environment is there, an ordinary run includes them.
Arguments go to pytest: scripts/test.sh -k wire -x"

status=0

step() { # command and arguments, run as a module of .venv's Python
  local rc=0
  echo "==> $*"
  .venv/bin/python -m "$@" || rc=$?
  if ((rc != 0)); then
    echo "==> $1 failed with status $rc" >&2
    if ((status == 0)); then status=$rc; fi
  fi
}

case ${1-} in
  -h | --help)
    echo "$USAGE"
    exit 0
    ;;
esac

scripts/setup.sh
if [[ ${1-} == --serving ]]; then
  shift
  scripts/serve_vllm.sh --setup
  export SMOLLORA_VLLM_PYTHON=${VLLM_VENV:-$PWD/.venv-vllm}/bin/python
  step pytest tests/test_vllm_parser.py tests/test_serving_live.py -v "$@"
  exit "$status"
fi
step ruff check .
step ruff format --check .
step mypy
# Each process computes with one thread: more than there are cores would wait for each other.
OMP_NUM_THREADS=1 step pytest -n auto --maxprocesses 4 --dist loadfile "$@"
exit "$status"
