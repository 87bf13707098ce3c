"""Build the ROS messages with CMake into the data scheme of the wheel, which is sys.prefix.

A ROS package's files (message libraries, ament index, share/) lie at fixed places below one
prefix; for a package that pip installs into a virtual environment, that prefix is the environment.
"""

import importlib.util
import os
import subprocess
import sys
import sysconfig
from distutils.command.install_data import install_data  # the copy inside setuptools
from pathlib import Path

from setuptools import Distribution, setup

ROOT = Path(__file__).resolve().parent


def ros_environment() -> dict[str, str]:
    """Return the environment for CMake: the ROS wheels of this environment, where it has them.

    Raises:
        SystemExit: there is neither such wheels nor a ROS installation.
    """
    if importlib.util.find_spec("ament_package") is None:
        raise SystemExit(
            "the ROS packages that build the messages cannot be imported; run "
            "`pip install -r requirements-ros.txt`, then pip with --no-build-isolation"
        )
    environment = dict(os.environ)
    if Path(sys.prefix, "share", "ament_index").is_dir():
        environment["AMENT_PREFIX_PATH"] = sys.prefix
        environment["CMAKE_PREFIX_PATH"] = sys.prefix
    return environment


class InstallRosFiles(install_data):
    """Run the CMake build and install it where the data files of the wheel go."""

    def run(self) -> None:
        """Configure, build and install; incremental from the second time on."""
        build = ROOT / "build" / f"pip-{sysconfig.get_platform()}-{sys.version_info.minor}"
        configure = [
            "cmake", "-S", str(ROOT), "-B", str(build), "-DSMM_PIP=ON",
            "-DCMAKE_BUILD_TYPE=Release", "-DBUILD_TESTING=OFF",
            f"-DPython3_EXECUTABLE={sys.executable}",
        ]  # fmt: skip
        jobs = str(os.cpu_count() or 1)
        install_dir = str(Path(self.install_dir).absolute())
        for command in (
            configure,
            ["cmake", "--build", str(build), "--parallel", jobs],
            ["cmake", "--install", str(build), "--prefix", install_dir],
        ):
            subprocess.run(command, check=True, env=ros_environment())


class RosDistribution(Distribution):
    """A distribution with compiled files and data files, though setuptools sees neither."""

    def has_ext_modules(self) -> bool:
        """Tell that the wheel is for one Python and platform: the messages are compiled."""
        return True

    def has_data_files(self) -> bool:
        """Tell that install_data has work to do."""
        return True

    # The same question under the name that setuptools' editable install asks it by.
    has_data = has_data_files


setup(
    cmdclass={"install_data": InstallRosFiles},
    distclass=RosDistribution,
    data_files=[],
    # With this, an editable install is a plain path entry, which lets the installed message
    # modules and the checkout's modules share the package smm_ros.
    package_dir={"": "."},
)
