"""Ports of private servers."""

import subprocess
import sys

from deploy.local.ports import free_ports

MANY = 400  # of 5,000: by chance, some thirty would be given twice


def test_a_port_is_given_to_one_process_only_also_while_nothing_listens_there() -> None:
    ours = set(free_ports(MANY))
    code = f"from deploy.local.ports import free_ports; print(*free_ports({MANY}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    theirs = set(map(int, done.stdout.split()))
    assert len(ours) == len(theirs) == MANY
    assert not ours & theirs
