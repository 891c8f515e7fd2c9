"""How kernels are compiled, and where their machine code is kept from one process to the next.

numba keeps the code of a function by the age of the file that it stands in, and does not see what that function calls
in another file: an upgrade could mix old code and new. So the code is kept in a folder of its own for every state of
all kernels together.
"""

from __future__ import annotations

import hashlib
import os
import tempfile

import numba
from numba import njit

_HERE = os.path.dirname(os.path.abspath(__file__))
_ROOT = os.path.dirname(os.path.dirname(_HERE))
_MODELS = [os.path.join(_ROOT, "models", family) for family in ("spread", "volatility")]
_ASKS = b"from features.operators.compiled import"


def _state() -> str:
    """Digest of the source of every operator, and of the files of models that hold kernels."""
    digest = hashlib.sha256()
    for folder in (_HERE, *_MODELS):
        for name in sorted(os.listdir(folder)):
            if name.endswith(".py"):
                with open(os.path.join(folder, name), "rb") as source:
                    text = source.read()
                if folder == _HERE or _ASKS in text:
                    digest.update(text)
    return digest.hexdigest()[:12]


def _folder() -> str:
    """Beside the sources where they may be written, as Python's own bytecode; else among the user's caches."""
    beside = os.path.join(_HERE, "__pycache__")
    if os.access(beside if os.path.isdir(beside) else _HERE, os.W_OK):
        return beside
    user = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(user if os.path.isabs(user) else tempfile.gettempdir(), "daybar")


if not numba.config.CACHE_DIR:
    numba.config.CACHE_DIR = os.path.join(_folder(), f"kernels-{_state()}")

# A kernel: called from Python, on threads.
compiled = njit(nogil=True, cache=True, error_model="numpy")
# A large part of several kernels: kept by itself, without what calls from Python need.
inner = njit(nogil=True, cache=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
# The same where a product and a sum may be one rounding, which shortens recursions that wait for each other.
fused = njit(
    nogil=True,
    cache=True,
    error_model="numpy",
    no_cpython_wrapper=True,
    no_cfunc_wrapper=True,
    fastmath={"contract"},
)
# The same where, besides, the terms of a sum may be added in any order, several at a time.
summed = njit(
    nogil=True,
    cache=True,
    error_model="numpy",
    no_cpython_wrapper=True,
    no_cfunc_wrapper=True,
    fastmath={"contract", "reassoc", "nsz"},
)
# A part of kernels: compiled into them, never called from Python.
part = njit(nogil=True, error_model="numpy")
