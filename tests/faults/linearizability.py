"""Whether a history can be explained: by an order of its operations, one key at a time.

In:   operations with the moments of their call and answer.
Out:  nothing, or `NotLinearizable` with the place where every order fails.
By:   the fault tests.

The search is Wing and Gong's with Lowe's memory: take the operations in the order of their calls,
let one of those that overlap happen next, go back when an answer comes whose operation could not
have happened; never look twice at the same set of operations done with the same state after it.
An operation of unknown outcome may happen at any time after its call, or never.

A key is a register: a name of a value, or ABSENT. Operations on one key say nothing about another
(linearizability is local), so each key is searched alone.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec
from tests.faults.history import ABSENT, UNSEEN, Operation, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class NotLinearizable(AssertionError):
    """No order of the operations explains the answers."""


def check(operations: Iterable[Operation]) -> int:
    """Check each key's operations, and the revisions; return how many operations there were.

    Raises:
        NotLinearizable: one key's operations cannot be explained.
        AssertionError: revisions contradict each other.
    """
    by_key: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        by_key[operation.key].append(operation)
    for on_key in by_key.values():
        linearize(on_key)
    everything = [operation for on_key in by_key.values() for operation in on_key]
    check_revisions(everything)
    return len(everything)


def step(state: str, operation: Operation) -> str | None:
    """Return the state after the operation, or None if it cannot happen, or not so, in the state.

    What was not answered and changes nothing need not happen at all.
    """
    outcome = operation.outcome
    if operation.verb == "read":
        return state if operation.saw == state else None
    happens = state == operation.expected  # what `create` expects is ABSENT
    if outcome is Outcome.REFUSED:
        return None if happens or operation.saw not in (state, UNSEEN) else state
    return operation.wrote if happens else None


def linearize(operations: Sequence[Operation]) -> list[Operation]:
    """Return an order that explains the operations on one key.

    Raises:
        NotLinearizable: there is none.
    """
    operations = relevant(operations)
    timeline = _Timeline(operations)
    state, done = ABSENT, 0
    left = sum(op.end < math.inf for op in operations)
    seen: set[tuple[int, str]] = set()
    path: list[tuple[int, str]] = []
    best: list[int] = []
    entry = timeline.first
    while left:
        operation = operations[entry >> 1]
        if not entry & 1:  # a call: can it happen now?
            then = step(state, operation)
            if then is None or (then != state and (done | 1 << entry, then) in seen):
                entry = timeline.after[entry]
                continue
            path.append((entry, state))
            done |= 1 << entry
            if then != state:
                seen.add((done, then))
            state = then
            left -= operation.end < math.inf
            timeline.lift(entry)
            entry = timeline.first
            continue
        # The answer of an operation which has not happened: go back to the last that changed
        # something. What changed nothing was rightly put as early as it could be.
        if len(path) >= len(best):
            best, stuck = [call >> 1 for call, _ in path], entry >> 1
        changed = False
        while not changed:
            if not path:
                raise _explained(operations, best, stuck)
            changed = path[-1][1] != state
            entry, state = path.pop()
            done ^= 1 << entry
            left += operations[entry >> 1].end < math.inf
            timeline.put_back(entry)
        entry = timeline.after[entry]
    return [operations[call >> 1] for call, _ in path]


class _Timeline:
    """Calls and answers in order: entry 2i is the call of operation i, 2i + 1 its answer.

    A list with links in both directions, so that a pair can be taken out and put back.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        moments = [(op.start, 2 * i) for i, op in enumerate(operations)]
        moments += [(op.end, 2 * i + 1) for i, op in enumerate(operations)]
        # At the same moment calls come first: whether they overlapped cannot be known.
        moments.sort(key=lambda moment: (moment[0], moment[1] & 1))
        self._head = 2 * len(operations)
        ring = [self._head, *(entry for _, entry in moments)]
        self.after, self._before = [0] * len(ring), [0] * len(ring)
        for i, entry in enumerate(ring):
            self._before[entry], self.after[ring[i - 1]] = ring[i - 1], entry

    @property
    def first(self) -> int:
        """The first entry that is left."""
        return self.after[self._head]

    def lift(self, call: int) -> None:
        """Take an operation out."""
        after, before = self.after, self._before
        for entry in (call, call + 1):
            after[before[entry]], before[after[entry]] = after[entry], before[entry]

    def put_back(self, call: int) -> None:
        """Put the operation that was taken out last back to where it was."""
        after, before = self.after, self._before
        for entry in (call + 1, call):
            after[before[entry]] = before[after[entry]] = entry


def relevant(operations: Iterable[Operation]) -> list[Operation]:
    """Leave out what says nothing, and bound in time what is known to have happened.

    A value of unknown fate which nobody ever saw changes nothing: whatever came after it on its
    key would have had to see it. A value that was seen was written before who saw it was answered.
    """
    answered = [op for op in operations if op.outcome is not Outcome.NEVER]
    seen_until: dict[str, float] = {}
    for op in answered:
        reads = op.verb == "read" or op.outcome is Outcome.REFUSED
        moment = op.end if reads or op.outcome is Outcome.DONE else math.inf
        name = op.saw if reads else op.expected
        seen_until[name] = min(seen_until.get(name, math.inf), moment)
    blind = UNSEEN in seen_until
    kept = []
    for op in answered:
        if op.outcome is Outcome.UNKNOWN:
            if op.verb == "read":
                continue
            if op.wrote != ABSENT:
                if op.wrote not in seen_until and not blind:
                    continue
                end = min(op.end, seen_until.get(op.wrote, math.inf))
                op = msgspec.structs.replace(op, end=end)
        kept.append(op)
    return kept


def check_revisions(operations: Iterable[Operation]) -> None:
    """Each write has a revision of its own, greater than all that were answered before its call.

    Raises:
        AssertionError: not so.
    """
    of_name: dict[str, int] = {}
    of_revision: dict[int, str] = {}
    known = sorted((op for op in operations if op.revision), key=lambda op: op.end)
    for op in known:
        done = op.outcome is Outcome.DONE and op.verb != "read"
        name = op.wrote if done else op.saw
        if name == ABSENT:
            name = f"the deletion of {op.expected}"
        assert of_name.setdefault(name, op.revision) == op.revision, f"two revisions: {op}"
        assert of_revision.setdefault(op.revision, name) == name, f"a revision used twice: {op}"
    moments = [(op.start, 0, i) for i, op in enumerate(known)]
    moments += [(op.end, 1, i) for i, op in enumerate(known)]
    latest, at_call = 0, [0] * len(known)
    for _, is_answer, i in sorted(moments):
        op = known[i]
        if not is_answer:
            at_call[i] = latest
            continue
        if op.outcome is Outcome.DONE and op.verb != "read":
            assert op.revision > at_call[i], f"a revision before one answered earlier: {op}"
        latest = max(latest, op.revision)


def _explained(operations: list[Operation], best: list[int], stuck: int) -> NotLinearizable:
    """Say how far one can get, and what then stands against it."""
    state = ABSENT
    for i in best:
        state = step(state, operations[i]) or ABSENT
    last = "\n  ".join(str(operations[i]) for i in best[-5:])
    return NotLinearizable(
        f"{len(best)} of {len(operations)} operations on {operations[stuck].key} can be explained,"
        f" the last of them\n  {last}\nwhich leave {state or 'nothing'}, but not"
        f"\n  {operations[stuck]}"
    )
