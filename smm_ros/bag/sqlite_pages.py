"""The rows on the pages of an sqlite3 file, found without the tree that leads to them."""

# The layout: https://sqlite.org/fileformat2.html. sqlite itself gives up where a page that leads
# to others is missing, which in a file that was cut short is nearly always so.

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

Value = int | float | str | bytes | None

_FILE_HEADER = 100
_PAGE_HEADER = 8
_TABLE_LEAF = 0x0D
_POINTER = 4
_DEFAULT_PAGE = 4096
# Bytes of the integers by their serial type; 8 and 9 are the numbers 0 and 1 themselves.
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 8: 0, 9: 0}
_FLOAT = 7
_FIRST_BLOB = 12


class PageRow(NamedTuple):
    """A row of any table; a column that stands for the row's number is None."""

    number: int
    values: tuple[Value, ...]


class SqlitePages:
    """An open database file as numbered pages (from 1), each taken by itself."""

    def __init__(self, file: BinaryIO) -> None:
        """Take the file, whose header may be damaged: then the default page size is tried."""
        self._file = file
        head = file.read(_FILE_HEADER).ljust(_FILE_HEADER, b"\0")
        size = int.from_bytes(head[16:18], "big")
        size = 2**16 if size == 1 else size
        is_valid = 512 <= size <= 2**16 and not size & (size - 1)
        self.page_size = size if is_valid else _DEFAULT_PAGE
        self._usable = self.page_size - (head[20] if is_valid else 0)
        self.expected = int.from_bytes(head[28:32], "big")
        """Pages that the file had when it was last written, by its header."""
        self.count = -(-file.seek(0, 2) // self.page_size)
        self._free = set(self._free_pages(int.from_bytes(head[32:36], "big")))

    def leaves(self) -> list[int]:
        """Return the numbers of the pages that hold rows, in the order of their first rows."""
        found = []
        for page in range(1, self.count + 1):
            if page not in self._free:
                rows = self.rows(page)
                first = next(rows, None)
                if first is not None:
                    found.append((first.number, page))
        return [page for _, page in sorted(found)]

    def rows(self, page: int) -> Iterator[PageRow]:
        """Yield the whole rows of a page; none where it holds other things."""
        data = self._read(page)
        start = _FILE_HEADER if page == 1 else 0
        if len(data) < start + _PAGE_HEADER or data[start] != _TABLE_LEAF:
            return
        num_cells = int.from_bytes(data[start + 3 : start + 5], "big")
        for cell in range(num_cells):
            at = start + _PAGE_HEADER + 2 * cell
            try:
                yield self._row(data, int.from_bytes(data[at : at + 2], "big"))
            except (IndexError, ValueError):
                continue

    def _read(self, page: int) -> bytes:
        self._file.seek((page - 1) * self.page_size)
        return self._file.read(self.page_size)

    def _row(self, page: bytes, at: int) -> PageRow:
        size, at = _varint(page, at)
        number, at = _varint(page, at)
        return PageRow(_signed(number), _values(self._payload(page, at, size)))

    def _payload(self, page: bytes, at: int, size: int) -> bytes:
        """Return the bytes of a row, from the page and those that it overflows to."""
        if size > self.count * self.page_size:
            raise ValueError("longer than the file")
        largest = self._usable - 35
        if size <= largest:
            return _part(page, at, size)
        least = (self._usable - 12) * 32 // 255 - 23
        local = least + (size - least) % (self._usable - _POINTER)
        local = local if local <= largest else least
        parts, left = [_part(page, at, local)], size - local
        following = int.from_bytes(_part(page, at + local, _POINTER), "big")
        while left:
            if not 1 < following <= self.count:
                raise ValueError("overflows to a page that is not there")
            more = self._read(following)
            length = min(left, self._usable - _POINTER)
            parts.append(_part(more, _POINTER, length))
            left -= length
            following = int.from_bytes(more[:_POINTER], "big")
        return b"".join(parts)

    def _free_pages(self, trunk: int) -> Iterator[int]:
        """Yield the pages that hold nothing any more, as far as their list can be followed."""
        for _ in range(self.count):
            if not 1 < trunk <= self.count:
                return
            data = self._read(trunk)
            yield trunk
            length = min(int.from_bytes(data[4:8], "big"), self.page_size // 4 - 2)
            for leaf in range(length):
                yield int.from_bytes(data[8 + 4 * leaf : 12 + 4 * leaf], "big")
            trunk = int.from_bytes(data[:4], "big")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for count in range(9):
        byte = data[at + count]
        if count == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + count + 1
    raise AssertionError


def _values(payload: bytes) -> tuple[Value, ...]:
    """Return the columns of a row; raises ValueError or IndexError where lengths do not fit."""
    head, at = _varint(payload, 0)
    kinds = []
    while at < head:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    values = []
    for kind in kinds:
        value, at = _value(payload, at, kind)
        values.append(value)
    if at != len(payload):
        raise ValueError("columns do not fill the row")
    return tuple(values)


def _value(payload: bytes, at: int, kind: int) -> tuple[Value, int]:
    if kind == 0:
        return None, at
    if kind in (8, 9):
        return kind - 8, at
    if kind in _INTEGERS:
        part = _part(payload, at, _INTEGERS[kind])
        return int.from_bytes(part, "big", signed=True), at + len(part)
    if kind == _FLOAT:
        return float("nan"), at + 8  # no table of a bag has any
    if kind < _FIRST_BLOB:
        raise ValueError("a kind of value that does not exist")
    part = _part(payload, at, (kind - _FIRST_BLOB) // 2)
    return (part.decode() if kind % 2 else part), at + len(part)


def _part(data: bytes, at: int, size: int) -> bytes:
    part = data[at : at + size]
    if len(part) != size:
        raise ValueError("breaks off")
    return part


def _signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number
