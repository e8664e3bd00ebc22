#!/usr/bin/env bash
# Compare objectives after equal views on one NVIDIA GPU, for somebody who has it for a short time
# and without a network. It takes two calls of less than nine minutes each:
#
#     scripts/gpu.sh --out results/gpu      # measures, plans, trains the first contenders
#     scripts/gpu.sh --out results/gpu      # goes on with the rest
#
# If the second call is on a fresh machine, copy there what the first wrote into the folder.
# `--budget SECONDS` is the time of a call (520), `scripts/gpu.py --help` says more. `--tiny` tries
# the same in small on a CPU.
#
# Python 3.11 to 3.13 and torch 2.11 or newer have to be there, and numba, scikit-learn, matplotlib,
# safetensors, pillow and rich. What else is missing travels as wheels in the folder .whl, half a
# megabyte:
#
#     fetch='pip download --no-deps --only-binary=:all: --python-version 3.12 -d .whl'
#     $fetch roma tyro docstring-parser typeguard
#     pip wheel --no-deps -w .whl .         # seqjepa itself: its version is read from there
#
# numba cannot travel: with llvmlite it takes 64 MB. It renders the views on the CPUs.
set -euo pipefail

fail() {
    echo "gpu.sh: $1" >&2
    exit 1
}

cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
site=${TMPDIR:-/tmp}/seqjepa-site
export PYTHONPATH=$PWD/src

# The sources go before the wheel of seqjepa, which gives no more than its version.
if compgen -G '.whl/*.whl' >/dev/null; then
    "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade \
        --target "$site" .whl/*.whl || fail "cannot install the wheels in .whl"
    PYTHONPATH+=:$site
fi

# One message for whatever is missing.
needed='
import importlib.util, sys
from importlib.metadata import version
if not (3, 11) <= sys.version_info < (3, 14):
    sys.exit("needs Python 3.11, 3.12 or 3.13, this is " + sys.version.split()[0])
names = "torch numpy numba roma tyro rich sklearn matplotlib safetensors PIL typing_extensions"
missing = [name for name in names.split() if importlib.util.find_spec(name) is None]
if missing:
    sys.exit("missing Python packages: " + ", ".join(missing) + " (the head of gpu.sh says how)")
try:
    version("seqjepa")
except ImportError:
    sys.exit("seqjepa is not installed: put its wheel into .whl (the head of gpu.sh says how)")
import torch
if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 11):
    sys.exit("needs torch 2.11 or newer, this is " + torch.__version__)
if "--tiny" not in sys.argv and not torch.cuda.is_available():
    sys.exit("torch finds no CUDA device")
'
found=$("$PYTHON" -c "$needed" "$@" 2>&1) || fail "$found"

# A few threads are enough beside the GPU; the renderer takes all cores by itself. Views that are
# rendered stay out of the home folder.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-4} OMP_WAIT_POLICY=passive PYTHONUNBUFFERED=1
export SEQJEPA_CACHE=${SEQJEPA_CACHE:-${TMPDIR:-/tmp}/seqjepa-views}
exec "$PYTHON" scripts/gpu.py "$@"
