"""The figures of `make bench-growth`, and their picture."""

from xml.etree import ElementTree

from tests.bench.growth import Measured, draw, last_line


def measured(messages: int, released: float, recorded: float) -> Measured:
    return Measured(messages, 12.34, released, recorded, 5.67, wal_bytes=900, disk_bytes=200)


def test_the_rate_is_that_of_releasing_and_recording_in_turns() -> None:
    assert measured(1, 30_000, 60_000).rate == 20_000


def test_the_last_line_compares_the_greatest_size_with_the_smallest() -> None:
    sizes = [measured(1_000_000, 30_000, 60_000), measured(10_000_000, 20_000, 20_000)]
    assert last_line(sizes) == (
        "growth: messages=10000000 release_ms_p99=12.3 record_per_s=20000 api_p99_ms=5.7 slowdown=0.50"
    )


def test_the_picture_has_a_point_for_each_rate_at_each_size() -> None:
    sizes = [measured(10**power, 30_000, 20_000 - power) for power in (6, 7, 8)]
    picture = ElementTree.fromstring(draw(sizes, "a caption"))
    points = picture.findall("{http://www.w3.org/2000/svg}circle")
    assert len(points) == 6
    released, recorded = points[:3], points[3:]
    xs = [float(point.attrib["cx"]) for point in released]
    assert abs((xs[1] - xs[0]) - (xs[2] - xs[1])) < 0.2  # a size ten times as large is one step further
    assert all(
        float(below.attrib["cy"]) > float(above.attrib["cy"])
        for above, below in zip(released, recorded, strict=True)
    )
