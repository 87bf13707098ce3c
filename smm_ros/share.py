"""Where the package's data folders (urdf, config, launch) lie: in a checkout, or installed."""

import os
import sys
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parent.parent


def share_path(*parts: str) -> Path:
    """Return the path of a data file or folder, e.g. ``share_path("urdf", "dclaw.xml")``.

    A checkout is looked at first, so that an edited file counts without a new install; then the
    installed ``share/smm_ros`` of every ament prefix, and of the Python environment.

    Raises:
        FileNotFoundError: no place has it; the message lists the places.
    """
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    roots = [Path(prefix, "share", "smm_ros") for prefix in prefixes if prefix]
    if (_CHECKOUT / "package.xml").is_file():
        roots.insert(0, _CHECKOUT)
    for root in roots:
        path = root.joinpath(*parts)
        if path.exists():
            return path
    name = "/".join(parts)
    places = ", ".join(str(root) for root in roots)
    raise FileNotFoundError(f"no {name!r} in {places}; install the package again (make setup)")
