"""A document against the pod schema: everything that is wrong with it, at once, in our words, with positions."""

from __future__ import annotations

from stages.spec import checks, jsonschemas, words
from stages.spec.problems import Problem, dotted
from stages.spec.yaml import Document


def problems(document: Document) -> list[Problem]:
    """What is wrong with a spec, in the order of the file: schemas/pod.json first, and the rules that no schema says.

    A rule of the second kind is asked of the parts that have the right shape, also when others have not.
    """
    faults = [fault for error in jsonschemas.errors("pod", document.data) for fault in words.faults(error)]
    faults += checks.faults(document.data)
    return sorted({_placed(document, fault) for fault in faults})


def _placed(document: Document, fault: words.Fault) -> Problem:
    line, column = document.mark(fault.path, key=fault.at_key)
    hint = f'put it into quotes: "{document.written(fault.path)}"' if fault.quote else fault.hint
    return Problem(line, column, dotted(fault.path), fault.message, hint)
