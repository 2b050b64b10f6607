"""Large blocks of memory are mappings of their own, whatever was freed before."""

from __future__ import annotations

import subprocess
import sys

import pytest

# mallinfo2(3): the bytes in mappings, of a process that has used and freed a larger block before.
SCRIPT = """
import ctypes, sys
from stages.linux import memory
if sys.argv[1] == "yes":
    memory.large_apart()
libc = ctypes.CDLL(None)
if not hasattr(libc, "mallinfo2"):
    sys.exit(77)
class Told(ctypes.Structure):
    _fields_ = [(f"n{number}", ctypes.c_size_t) for number in range(10)]
libc.mallinfo2.restype = Told
block = bytearray(12 << 20)
del block
before = libc.mallinfo2().n4
block = bytearray(6 << 20)
print(libc.mallinfo2().n4 - before)
"""


@pytest.mark.parametrize(("called", "least", "most"), [("yes", 6 << 20, 7 << 20), ("no", 0, 0)])
def test_a_large_block_is_a_mapping_of_its_own(called: str, least: int, most: int) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, called], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("another C library")
    assert least <= int(done.stdout) <= most, done.stderr
