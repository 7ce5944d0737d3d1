"""A page in gzip around a compressed part is the same page, for every reader of gzip."""

from __future__ import annotations

import gzip
import subprocess
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.pages.packed import gzipped, pack


@given(st.binary(), st.binary(max_size=5000), st.binary())
def test_what_was_put_in_comes_out(before, part, after):
    sent = gzipped(before, pack(part), after)
    assert gzip.decompress(sent) == before + part + after
    # One member and nothing behind it: browsers read no further.
    reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert reader.decompress(sent) == before + part + after
    assert reader.eof
    assert reader.unused_data == b""


@pytest.mark.parametrize("size", [0, 200_000])
def test_gzip_itself_reads_it(size):
    sent = gzipped(b"<html>", pack(b"plan " * size), b"</html>")
    done = subprocess.run(["gzip", "-dc"], input=sent, capture_output=True, check=True)
    assert done.stdout == b"<html>" + b"plan " * size + b"</html>"


def test_its_length_tells_nothing():
    part = pack(b"part")
    assert len({len(gzipped(b"", part, b"")) for _ in range(100)}) > 20
