"""Writing a log line blocks nobody, whoever reads the log."""

import os
import subprocess
import sys
import time

from shared.telemetry.log_stream import DROPPED, LogStream


def dropped() -> float:
    return float(DROPPED._value.get())


def test_lines_arrive_in_order() -> None:
    reader, writer = os.pipe()
    stream = LogStream(writer)
    for number in range(1000):
        stream.write(f"{number}\n")
    assert stream.drain(5)
    os.close(writer)
    with os.fdopen(reader) as lines:
        assert lines.read().splitlines() == [str(number) for number in range(1000)]


def test_a_pipe_that_nobody_reads_blocks_nothing_and_the_lost_lines_are_counted() -> None:
    reader, writer = os.pipe()
    stream = LogStream(writer, capacity=100)
    before = dropped()
    began = time.perf_counter()
    for _ in range(2000):
        stream.write("x" * 1000 + "\n")
    assert time.perf_counter() - began < 1
    assert not stream.drain(0.1)
    lost = dropped() - before
    assert lost > 1000
    received = 0
    with os.fdopen(reader) as lines:
        while received + lost < 2000:
            received += len(lines.readline()) > 0
        assert stream.drain(5)
        os.close(writer)
        assert lines.read() == ""


def test_a_log_that_is_closed_ends_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = LogStream(writer)
    stream.write("lost\n")
    assert stream.drain(5)
    os.close(writer)


PROGRAM = """
import sys
from shared.telemetry.log_stream import LogStream
stream = LogStream(sys.stderr.fileno())
for number in range(int(sys.argv[1])):
    stream.write("x" * 1000 + "\\n")
"""


def test_the_last_lines_of_a_process_are_written() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, "5000"], capture_output=True, text=True, timeout=30, check=True
    )
    assert ended.stderr.count("\n") == 5000


def test_a_process_ends_although_nobody_reads_its_log() -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM, "5000"], stderr=subprocess.PIPE) as process:
        assert process.wait(timeout=30) == 0
