#!/bin/sh
# Check what `make setup` needs of this machine; each thing missing gets one line that says what
# to install (names as in Debian and Ubuntu), and then the exit status is 1.
# Usage: preflight.sh PYTHON

python=${1:-python3}
oldest_minor=10  # the oldest Python that the ROS 2 wheels exist for
newest_minor=14  # the newest
oldest_cmake=3.21
failed=0

missing() {
    printf 'set-up: %s\n' "$1" >&2
    failed=1
}

check_machine() {
    machine="$(uname -s) $(uname -m)"
    if [ "$machine" != "Linux x86_64" ]; then
        missing "this machine is $machine, but ROS 2 wheels exist for Linux x86_64 only; install \
ROS 2 Kilted or Jazzy and build this package with colcon (README.md, 'On a ROS 2 installation')"
    fi
}

check_python() {
    if ! command -v "$python" >/dev/null 2>&1; then
        missing "$python not found; install it: sudo apt install python3 python3-venv python3-dev"
        return
    fi
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
    minor=${version#3.}
    case $version in
    3.*) ;;
    *) minor=0 ;;
    esac
    if [ "$minor" -lt "$oldest_minor" ] || [ "$minor" -gt "$newest_minor" ]; then
        missing "$python is Python ${version:-of unknown version}, but 3.$oldest_minor to \
3.$newest_minor is needed; install one, e.g. sudo apt install python3.11 python3.11-venv \
python3.11-dev, and name it: make PYTHON=python3.11 ..."
        return
    fi
    # Debian and Ubuntu split these off from the interpreter.
    if ! "$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then
        missing "$python has no venv module with pip; install it: sudo apt install \
python$version-venv"
    fi
    header='import os, sysconfig; sys_h = sysconfig.get_paths()["include"]
raise SystemExit(not os.path.isfile(os.path.join(sys_h, "Python.h")))'
    if ! "$python" -c "$header" >/dev/null 2>&1; then
        missing "$python has no Python.h to build the messages with; install it: sudo apt install \
python$version-dev"
    fi
}

check_compilers() {
    for compiler in "${CC:-cc}" "${CXX:-c++}"; do
        # The variables may carry flags or a launcher, as in CXX="ccache g++".
        if ! command -v "${compiler%% *}" >/dev/null 2>&1; then
            missing "C and C++ compilers are needed to build the messages and $compiler was not \
found; install them: sudo apt install build-essential"
            return
        fi
    done
}

check_cmake() {
    if ! command -v cmake >/dev/null 2>&1; then
        missing "cmake not found; install it: sudo apt install cmake"
        return
    fi
    version=$(cmake --version | sed -n 's/^cmake version \([0-9.]*\).*/\1/p')
    lowest=$(printf '%s\n%s\n' "$oldest_cmake" "$version" | sort -V | head -n 1)
    if [ "$lowest" != "$oldest_cmake" ]; then
        missing "cmake is $version, but $oldest_cmake or newer is needed; install one: \
sudo apt install cmake, or $python -m pip install cmake"
    fi
}

check_machine
check_python
check_compilers
check_cmake
exit "$failed"
