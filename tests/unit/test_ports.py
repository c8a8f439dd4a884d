"""Ports of private servers."""

import socket
import subprocess
import sys
from pathlib import Path

from deploy.local.ports import free_ports

MANY = 400  # of 5,000: by chance, some thirty would be given twice


def test_a_port_is_given_to_one_process_only_also_while_nothing_listens_there() -> None:
    ours = set(free_ports(MANY))
    code = f"from deploy.local.ports import free_ports; print(*free_ports({MANY}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    theirs = set(map(int, done.stdout.split()))
    assert len(ours) == len(theirs) == MANY
    assert not ours & theirs


def test_a_name_keeps_its_port_from_one_run_to_the_next_where_it_is_free(tmp_path: Path) -> None:
    code = "import sys; from deploy.local.ports import same_ports; from pathlib import Path"
    code += "; print(*same_ports(Path(sys.argv[1]), sys.argv[2:]))"

    def run(*names: str) -> list[int]:
        command = [sys.executable, "-c", code, str(tmp_path / "ports.json"), *names]
        return [int(port) for port in subprocess.check_output(command, text=True).split()]

    api, planner = run("api", "planner")
    assert run("planner", "sender", "api")[::2] == [planner, api]
    with socket.socket() as other:
        other.bind(("127.0.0.1", api))
        assert run("planner", "api")[0] == planner
        assert run("api") != [api]
