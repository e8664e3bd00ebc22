#!/usr/bin/env bash
# Install the torch that constraints.txt pins: the CPU build if there is no NVIDIA GPU, because
# PyPI's Linux wheel brings gigabytes of CUDA libraries.
# usage: scripts/install_torch.sh .venv/bin/python
set -euo pipefail

python=$1
constraints=$(dirname "$0")/../constraints.txt
version=$(sed -n 's/^torch==\([^ ;]*\).*/\1/p' "$constraints")
cpu_index=${PYTORCH_CPU_INDEX:-https://download.pytorch.org/whl/cpu}

install() {
    "$python" -m pip install --quiet --quiet --disable-pip-version-check \
        --constraint "$constraints" "$@"
}

asked='from importlib.metadata import version; print(version("torch"))'
installed=$("$python" -c "$asked" 2>/dev/null || true)
if [ "${installed%%+*}" = "$version" ]; then
    exit 0
fi

if [ "$(uname -s)" = Linux ] && ! nvidia-smi -L >/dev/null 2>&1; then
    echo "torch $version: looking for the CPU build"
    # First the sources that pip already knows, then PyTorch's own index, with a short time-out.
    install "torch==$version+cpu" 2>/dev/null && exit 0
    install --timeout 15 --retries 1 --extra-index-url "$cpu_index" "torch==$version+cpu" && exit 0
    echo "torch $version: no CPU build within reach;" \
        "taking the default build, which may bring CUDA libraries" >&2
fi
install "torch==$version"
