"""Parsing of If-Match."""

import pytest

from services.api.edge.entity_tags import ANY_VERSION, parse_precondition
from services.api.edge.refusals import ChangedMeanwhile


class Thing:
    entity_tag = "7-scheduled"


@pytest.mark.parametrize("given", ["*", '"7-scheduled"', '"1", "7-scheduled"', '"1" ,\t"7-scheduled",W/"9"'])
def test_a_thing_of_one_of_the_versions_may_be_changed(given: str) -> None:
    parse_precondition(given).check("mailing", Thing())


@pytest.mark.parametrize("given", ['"8-scheduled"', '"7-running"', '""', 'W/"7-scheduled"', '"7-scheduled,8"'])
def test_a_thing_of_another_version_may_not(given: str) -> None:
    with pytest.raises(ChangedMeanwhile, match='now "7-scheduled"'):
        parse_precondition(given).check("mailing", Thing())


@pytest.mark.parametrize(
    "given", ["", "7-scheduled", '"a" "b"', '"a",', ',"a"', '*, "a"', 'w/"a"', '"a b"', '"é"']
)
def test_what_is_no_list_of_tags_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="quotation marks"):
        parse_precondition(given)


def test_without_the_header_every_version_may_be_changed() -> None:
    ANY_VERSION.check("mailing", Thing())
