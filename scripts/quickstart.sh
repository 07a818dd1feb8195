#!/usr/bin/env bash
# From a bare checkout to a fine-tuned, measured, merged model on CPU: set-up, then scripts/quickstart.py with the same options.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
case " $* " in *" -h "* | *" --help "*) help=1 ;; *) help=0 ;; esac
began=$(date +%s)
if [[ $help == 1 && -x .venv/bin/python ]]; then exec .venv/bin/python scripts/quickstart.py --help; fi
scripts/setup.sh
export GLIBC_TUNABLES="${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}" # large pages: 3 % of training
QUICKSTART_SETUP_SECONDS=$(($(date +%s) - began)) exec .venv/bin/python scripts/quickstart.py "$@"
