#!/bin/sh
# Make the virtual environment $1 from the lock file $2, if that file has changed since the last time.
# On Debian and Ubuntu, install the package that Python's venv needs, if that is possible without a password.
set -eu

venv=$1 lock=$2
installed=$venv/.installed.lock # copy of the lock file that the environment was made from

if [ -x "$venv/bin/python" ] && cmp -s "$lock" "$installed"; then
    touch "$installed" # make must not find the lock file newer, as after a checkout
    exit 0
fi

supported='import sys; sys.exit(sys.version_info < (3, 11))'
python=${PYTHON:-}
if [ -z "$python" ]; then
    for candidate in python3 python3.11 python3.12 python3.13 python3.14; do
        if command -v "$candidate" >/dev/null && "$candidate" -c "$supported" 2>/dev/null; then
            python=$candidate
            break
        fi
    done
fi
if [ -z "$python" ] || ! "$python" -c "$supported"; then
    echo "Python 3.11 or newer is needed${python:+, $python is not}. Name one: make install PYTHON=/path/to/python3.12" >&2
    exit 1
fi

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ]; then root=; else root='sudo -n'; fi
    echo "installing $package, which $python needs for virtual environments" >&2
    apt="$root env DEBIAN_FRONTEND=noninteractive apt-get -qq"
    if ! { $apt install --yes "$package" || { $apt update && $apt install --yes "$package"; }; } >/dev/null 2>&1; then
        echo "that failed; install it yourself: sudo apt-get install $package" >&2
        exit 1
    fi
fi

rm -f "$installed" # the environment is incomplete from here on
[ -x "$venv/bin/python" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$venv"
echo "installing the packages of $lock into $venv (half a minute, the first time)" >&2
if command -v uv >/dev/null; then # three times as fast as pip
    uv pip install --quiet --python "$venv/bin/python" --require-hashes --requirement "$lock"
else
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --requirement "$lock"
fi
cp "$lock" "$installed"
