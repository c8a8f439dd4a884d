"""SMS parts of a text: the name by which pages import `shared.sms_parts`."""

from shared.sms_parts import Parts, parts

__all__ = ["Parts", "parts"]
