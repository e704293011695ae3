"""The table of sessions as plain values and as bytes: how it lies beside the keys on disk."""

import msgpack

Row = tuple[int, int, int, tuple[tuple[int, bytes], ...]]
"""Session, when it was used, its last sequence, and its results that are not acknowledged."""

Table = tuple[int, int, int, tuple[Row, ...]]
"""The replicated clock, how many sessions were ever opened, the last sweep, and the rows."""


def encode_table(table: Table) -> bytes:
    """Its bytes, the same on every server at the same index."""
    packed: bytes = msgpack.packb(table)
    return packed


def decode_table(data: bytes) -> Table:
    """What encode_table was given; the store's checksum vouches for the bytes."""
    found: Table = msgpack.unpackb(data, use_list=False)
    return found
