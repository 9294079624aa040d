#!/usr/bin/env bash
# Makes the checkout's own environment: .venv with the packages, ROS 2 Jazzy among them, and our messages built into it.
# With ROS=kilted it is .venv-kilted, with ROS 2 Kilted.
#
# Nothing outside the checkout is touched. What is there already and still right is left as it is, so that a second
# run takes a moment. PYTHON=/path/to/python3.12 chooses the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."
case "${ROS:-jazzy}" in
    jazzy) venv="$PWD/.venv" ros=ros build=build/venv ;;
    kilted) venv="$PWD/.venv-kilted" ros=ros-kilted build=build/venv-kilted ;;
    *) echo "orpose: ROS=$ROS: expected jazzy or kilted" >&2; exit 1 ;;
esac
pip="$venv/bin/python -m pip --disable-pip-version-check"

say() { printf '\033[1m%s\033[0m\n' "orpose: $*"; }
fail() { printf 'orpose: %s\n' "$@" >&2; exit 1; }

# Prints the first Python 3.10 to 3.12 there is.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.12 python3.11 python3.10}; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.10, 3.11 or 3.12 is needed; ${PYTHON:-python3} is $("${PYTHON:-python3}" --version 2>&1 || true)." \
        "Install one:  sudo apt install python3.12 python3.12-venv python3.12-dev" \
        "or name one:  make PYTHON=/path/to/python3.12 ..."
}

# Names every tool that is missing, all at once, with the line that installs it.
check_tools() {
    local missing=() packages=() version
    version="$("$1" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')"
    needs() { missing+=("$1"); packages+=("$2"); }
    command -v "${CC:-cc}" >/dev/null || needs "a C compiler (${CC:-cc})" build-essential
    command -v "${CXX:-c++}" >/dev/null || needs "a C++ compiler (${CXX:-c++})" build-essential
    command -v make >/dev/null || needs make make
    command -v cmake >/dev/null || needs cmake cmake
    "$1" -c 'import ensurepip, venv' 2>/dev/null || needs "the module venv of $1" "$version-venv"
    "$1" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_paths()["include"] + "/Python.h"))' \
        || needs "the headers of $1 (Python.h)" "$version-dev"
    [ ${#missing[@]} -eq 0 ] && return
    printf 'orpose: missing: %s\n' "${missing[@]}" >&2
    fail "Install what is missing:  sudo apt install $(printf '%s\n' "${packages[@]}" | sort -u | tr '\n' ' ')"
}

# Prints one hash of files, with the place of the checkout: an environment that was moved is no good.
fingerprint() { { echo "$venv"; "$venv/bin/python" -S --version; cat "$@"; } | sha256sum | cut -d' ' -f1; }
is_current() { [ "$(cat "$venv/$1" 2>/dev/null)" = "$2" ]; }

make_venv() {
    # An environment cannot be moved: one of another place, or of a Python that is gone, is made anew.
    if "$venv/bin/python" -c "" 2>/dev/null && grep -qsF "$venv" "$venv/bin/activate"; then return; fi
    local python
    python="$(find_python)"
    check_tools "$python"
    say "making ${venv##*/} with $("$python" --version)"
    rm -rf "$venv" "$build"
    "$python" -m venv "$venv"
}

install_packages() {
    local wanted
    wanted="$(fingerprint pyproject.toml requirements-ros.txt "requirements-$ros.txt" constraints.txt "constraints-$ros.txt")"
    is_current .packages "$wanted" && return
    check_tools "$venv/bin/python"
    say "installing packages into ${venv##*/} (about 6 GB, torch above all; some minutes the first time)"
    rm -f "$venv/.packages" "$venv/.messages"
    $pip install --quiet --upgrade "pip>=24"
    $pip install --quiet -c constraints.txt -c "constraints-$ros.txt" -r "requirements-$ros.txt" -e ".[test,check,docs,parquet,export,view]"
    "$venv/bin/python" scripts/point_cmake_files_at_this_python.py
    echo "$wanted" > "$venv/.packages"
}

build_messages() {
    local wanted
    wanted="$(fingerprint msg/*.msg CMakeLists.txt package.xml orpose_ros/__init__.py scripts/*)"
    is_current .messages "$wanted" && return
    check_tools "$venv/bin/python"
    say "building the messages into ${venv##*/}"
    rm -rf "$build"
    mkdir -p "$build"
    if ! {
        PATH="$venv/bin:$PATH" CMAKE_PREFIX_PATH="$venv" AMENT_PREFIX_PATH="$venv" \
            cmake -S . -B "$build" -DCMAKE_INSTALL_PREFIX="$venv" -DCMAKE_BUILD_TYPE=Release \
            -DORPOSE_MODULES_FROM_CHECKOUT=ON -DPython3_ROOT_DIR="$venv" -DPython3_FIND_VIRTUALENV=ONLY
        PATH="$venv/bin:$PATH" CMAKE_PREFIX_PATH="$venv" AMENT_PREFIX_PATH="$venv" \
            cmake --build "$build" --target install --parallel "$(nproc)"
    } > "$build/log.txt" 2>&1; then
        tail -n 30 "$build/log.txt" >&2
        fail "the messages could not be built; all of it is in $build/log.txt"
    fi
    echo "$wanted" > "$venv/.messages"
}

make_venv
install_packages
build_messages
