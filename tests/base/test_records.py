"""Our named tuples are what typing's are, but for what typing makes of annotations."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from stages.base.records import NamedTuple

STAGES = Path(__file__).parents[2] / "stages"


class Point(NamedTuple):
    """A place."""

    x: int
    y: int = 2
    names: tuple[Nowhere, ...] = ()  # type: ignore[name-defined]  # noqa: F821 - nobody looks

    origin = (0, 0)

    @property
    def sum(self) -> int:
        return self.x + self.y

    @classmethod
    def of(cls, text: str) -> Point:
        return cls(*map(int, text.split()))

    def __str__(self) -> str:
        return f"{self.x}|{self.y}"


def test_fields_defaults_and_methods() -> None:
    point = Point(1)
    assert point == (1, 2, ()) and (point.x, point.y, point.names) == point
    assert (point.sum, Point.of("3 4"), str(point), Point.origin) == (3, Point(3, 4), "1|2", (0, 0))
    assert point._replace(x=5)._asdict() == {"x": 5, "y": 2, "names": ()}
    assert Point._fields == ("x", "y", "names") and Point._field_defaults == {"y": 2, "names": ()}
    assert repr(point) == "Point(x=1, y=2, names=())" and Point.__doc__ == "A place."
    assert pickle.loads(pickle.dumps(point)) == point and hash(point) == hash((1, 2, ()))
    match point:
        case Point(x, y):
            assert (x, y) == (1, 2)


def test_mistakes() -> None:
    point = Point(1)
    with pytest.raises(AttributeError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        point.other = 2  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        Point()  # type: ignore[call-arg]


def test_all_named_tuples_are_ours() -> None:
    others = [path for path in STAGES.rglob("*.py") if "typing import" in path.read_text() and _takes_typings(path)]
    assert others == [STAGES / "base/records.py"]


def _takes_typings(path: Path) -> bool:
    lines = path.read_text().splitlines()
    return any("NamedTuple" in line for line in lines if line.strip().startswith("from typing import"))
