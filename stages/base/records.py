"""Named tuples that are defined in half the time: typing's looks at what each field is said to be, which nobody asks.

A run that has something to do defines sixty. mypy sees typing's; they are collections' with methods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:
    from collections import namedtuple

    _OWN = frozenset(("__annotations__", "__module__", "__qualname__", "__slots__"))

    class _Definition(type):
        def __new__(cls, name, bases, namespace):
            if not bases:
                return super().__new__(cls, name, bases, namespace)
            fields = namespace.get("__annotations__", {})
            defaults = [namespace[field] for field in fields if field in namespace]
            made = namedtuple(name, fields, defaults=defaults, module=namespace["__module__"])
            made.__annotations__ = fields
            for key in namespace.keys() - fields.keys() - _OWN:
                setattr(made, key, namespace[key])
            return made

    class NamedTuple(metaclass=_Definition):
        """As typing.NamedTuple: fields are annotated in order, some with defaults; methods may follow."""
