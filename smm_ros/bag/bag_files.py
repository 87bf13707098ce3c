"""The files that a bag is made of: found, put in order, and unpacked where they are packed."""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import zstandard

from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.mcap_records import MAGIC
from smm_ros.bag.metadata import METADATA, BagMetadata, MetadataError, read_metadata

SQLITE_MAGIC = b"SQLite format 3\0"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ROS1_MAGIC = b"#ROSBAG"
_PACKED = ".zstd"
_BLOCK = 2**20


class Storage(Enum):
    """rosbag2's kinds of files, by the name that metadata.yaml has for each."""

    MCAP = "mcap"
    SQLITE = "sqlite3"


_SUFFIXES = {".mcap": Storage.MCAP, ".db3": Storage.SQLITE}


@dataclass(frozen=True)
class BagFile:
    """One file of a bag."""

    path: Path
    storage: Storage
    is_packed: bool = False
    """Whether the whole file is compressed, as `ros2 bag record --compression-mode file` does."""


def find_files(paths: str | Path | Sequence[str | Path]) -> list[BagFile]:
    """Return the files of bags, one bag after the other; a path is a folder or a single file.

    Raises BagError where there is none, where something is no bag, where files are missing, and
    where a file is named twice, by whatever names.
    """
    listed = [paths] if isinstance(paths, (str, Path)) else paths
    found: list[BagFile] = []
    named: dict[tuple[int, int], int] = {}
    for number, path in enumerate(listed):
        for file in files_at(Path(path)):
            stat = file.path.stat()
            before = named.setdefault((stat.st_dev, stat.st_ino), number)
            if before != number:
                names = f"{listed[before]} and {path}"
                raise BagError(f"{file.path} is in both {names}; name each file once")
            found.append(file)
    return found


def files_at(path: Path, incomplete: bool = False) -> list[BagFile]:
    """Return the files of one bag in the order recorded; `incomplete`: some may be missing."""
    try:
        if path.is_dir():
            return _in_folder(path, incomplete)
        if path.is_file():
            return [_bag_file(path) or _by_content(path)]
    except OSError as error:
        raise BagError(f"can not read {path}: {error.strerror}") from error
    raise BagError(f"no bag at {path}; expected the folder of a bag, an MCAP or a db3 file")


def missing_files(metadata: BagMetadata, found: Sequence[BagFile]) -> list[str]:
    """Return the files that metadata.yaml names and that are not there, packed or plain."""
    there = {_plain_name(file.path.name) for file in found}
    return [name for name in metadata.files if _plain_name(name) not in there]


def file_number(path: Path) -> int:
    """Return the number of a file in its bag, such as 3 for run_3.mcap; -1 where it has none."""
    match = re.search(r"_(\d+)$", Path(_plain_name(path.name)).stem)
    return int(match[1]) if match else -1


def is_written(path: Path) -> bool:
    """Tell whether a recorder of ours is at work: it keeps the folder locked.

    Raises BagError where the folder can not be read.
    """
    try:
        folder = os.open(path if path.is_dir() else path.parent, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise BagError(f"can not read {path}: {error.strerror}") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(folder)
    return False


@contextmanager
def unpacked(file: BagFile) -> Iterator[tuple[Path, str]]:
    """Give the path of the file's plain content while it is needed, and what is amiss with it.

    A packed file is unpacked into the system's folder of temporary files; where that breaks off,
    what came before is given and the text says why. Raises BagError where the disk is full.
    """
    if not file.is_packed:
        yield file.path, ""
        return
    with tempfile.TemporaryDirectory(prefix="smm_bag_") as folder:
        target = Path(folder, file.path.name.removesuffix(_PACKED))
        try:
            trouble = _unpack(file.path, target)
        except OSError as error:
            raise BagError(
                f"can not unpack {file.path} into {folder}: {error.strerror}; set TMPDIR to a "
                "folder with more space"
            ) from error
        yield target, trouble


def _unpack(path: Path, target: Path) -> str:
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    with path.open("rb") as source, target.open("wb") as plain:
        try:
            while not decompressor.eof and (data := source.read(_BLOCK)):
                plain.write(decompressor.decompress(data))
        except zstandard.ZstdError as error:
            return f"its compression is damaged before byte {source.tell()}: {error}"
    return "" if decompressor.eof else "its compression breaks off at the end of the file"


def _in_folder(folder: Path, incomplete: bool) -> list[BagFile]:
    # Before the files are listed: a recorder names a file when it is there.
    try:
        metadata = read_metadata(folder)
    except MetadataError:  # `smm bag check` tells; the numbers give the same order
        metadata = None
    found = [file for entry in sorted(folder.iterdir()) if (file := _bag_file(entry))]
    storages = sorted({file.storage.value for file in found})
    if len(storages) > 1:
        raise BagError(
            f"{folder} mixes {' and '.join(storages)} files; give the files of one bag alone, "
            "or move the others away"
        )
    if not found:
        raise BagError(_nothing_in(folder))
    missing = missing_files(metadata, found) if metadata else []
    if missing and not incomplete:
        raise BagError(
            f"{folder} lacks {', '.join(missing)}, which its {METADATA} names; put it back, or "
            "make a bag of the rest with `smm bag repair`"
        )
    return _in_order(found, metadata)


def _in_order(found: list[BagFile], metadata: BagMetadata | None) -> list[BagFile]:
    """Put files into the order of metadata.yaml; those it does not name follow by number."""
    # The plain file of a pair is whole: it is deleted when the packed one is.
    found = sorted(found, key=lambda file: file.is_packed, reverse=True)
    by_name = {_plain_name(file.path.name): file for file in found}
    names = [_plain_name(name) for name in metadata.files] if metadata else []
    first = [by_name.pop(name) for name in dict.fromkeys(names) if name in by_name]
    rest = sorted(by_name.values(), key=lambda file: (file_number(file.path), file.path.name))
    return first + rest


def _plain_name(name: str) -> str:
    return name.removesuffix(_PACKED)


def _bag_file(path: Path) -> BagFile | None:
    plain = Path(_plain_name(path.name))
    storage = _SUFFIXES.get(plain.suffix)
    if storage is None or not path.is_file():
        return None
    return BagFile(path, storage, plain.name != path.name)


def _by_content(path: Path) -> BagFile:
    with path.open("rb") as file:
        begin = file.read(max(len(SQLITE_MAGIC), len(MAGIC)))
    if begin.startswith(MAGIC):
        return BagFile(path, Storage.MCAP)
    if begin.startswith(SQLITE_MAGIC):
        return BagFile(path, Storage.SQLITE)
    if begin.startswith(_ROS1_MAGIC):
        raise BagError(f"{path} is a bag of ROS 1; convert it with `rosbags-convert` first")
    raise BagError(
        f"{path} is no bag: it starts with {begin!r}; expected an MCAP or sqlite3 (.db3) file"
    )


def _nothing_in(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir())
    if any(name.endswith(".bag") for name in names):
        return f"{folder} holds a bag of ROS 1; convert it with `rosbags-convert` first"
    found = (
        f"holds no MCAP or db3 file, only {', '.join(names[:9])}"
        if names
        else "is an empty folder"
    )
    return f"{folder} {found}; expected {folder.resolve().name}_0.mcap"
