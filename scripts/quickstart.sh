#!/usr/bin/env bash
# From a bare checkout to a fine-tuned, measured, merged model on CPU: set-up, then scripts/quickstart.py with the same options.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
case " $* " in *" -h "* | *" --help "*) help=1 ;; *) help=0 ;; esac
began=$(date +%s)
if [[ $help == 1 && -x .venv/bin/python ]]; then exec .venv/bin/python scripts/quickstart.py --help; fi
scripts/setup.sh
# glibc: keep freed memory instead of giving it back to the kernel after each of torch's short-lived tensors.
export MALLOC_MMAP_MAX_=${MALLOC_MMAP_MAX_-0} MALLOC_TRIM_THRESHOLD_=${MALLOC_TRIM_THRESHOLD_-100000000000}
export MALLOC_TOP_PAD_=${MALLOC_TOP_PAD_-268435456}
QUICKSTART_SETUP_SECONDS=$(($(date +%s) - began)) exec .venv/bin/python scripts/quickstart.py "$@"
