"""Write dclaw.xml (MuJoCo) and dclaw_parts.xacro (ROS) from the table dclaw.yaml.

Run `python urdf/generate.py` after a change of the table; a test compares the written files
with the committed ones.
"""

import pathlib
import sys

import mjcf_writer
import urdf_writer
import yaml

FOLDER = pathlib.Path(__file__).resolve().parent


def generate() -> dict[str, str]:
    """Return the text of each generated file by its name."""
    table = yaml.safe_load((FOLDER / "dclaw.yaml").read_text(encoding="utf-8"))
    mjcf = mjcf_writer.write(table)
    return {"dclaw.xml": mjcf, "dclaw_parts.xacro": urdf_writer.write(table, mjcf)}


def main() -> int:
    """Write the generated files beside the table."""
    for name, text in generate().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
