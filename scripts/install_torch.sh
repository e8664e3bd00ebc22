#!/usr/bin/env bash
# Install the torch that constraints.txt pins, as the CPU build where there is no NVIDIA GPU: PyPI's Linux wheel brings gigabytes of CUDA libraries.
# usage: scripts/install_torch.sh .venv/bin/python
set -euo pipefail

python=$1
constraints=$(dirname "$0")/../constraints.txt
version=$(sed -n 's/^torch==\([^ ;]*\).*/\1/p' "$constraints")
cpu_index=${PYTORCH_CPU_INDEX:-https://download.pytorch.org/whl/cpu}

install() { "$python" -m pip install --quiet --quiet --disable-pip-version-check --constraint "$constraints" "$@"; }

installed=$("$python" -c 'from importlib.metadata import version; print(version("torch"))' 2>/dev/null || true)
if [ "${installed%%+*}" = "$version" ]; then
    exit 0
fi

if [ "$(uname -s)" = Linux ] && ! nvidia-smi -L >/dev/null 2>&1; then
    echo "torch $version: looking for the CPU build"
    # A source that pip already knows costs nothing to ask; without an answer, PyTorch's own index, not for long.
    install "torch==$version+cpu" 2>/dev/null && exit 0
    install --timeout 15 --retries 1 --extra-index-url "$cpu_index" "torch==$version+cpu" && exit 0
    echo "torch $version: no CPU build within reach; taking the default build, which may bring CUDA libraries" >&2
fi
install "torch==$version"
