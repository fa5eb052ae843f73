"""The worker process of ``kanta.quality.Judge``: one question a line on stdin, one answer a line on stdout."""

from __future__ import annotations

import gc
import os
import sys
import traceback
from queue import SimpleQueue
from threading import Thread
from types import ModuleType
from typing import IO, NoReturn

from kanta import OBJECTS
from kanta.errors import KantaError
from kanta.quality import ANSWER, QUESTION, Answer

#: Great Expectations imports these for two distribution tests and a chart that no contract of ours can ask for.
#: They are a third of its import (scipy 3 s, altair 1 s).
LEFT_OUT = ("scipy", "scipy.stats", "altair")

#: It goes without these where they are not installed: for data in Amazon's cloud, a quarter of a second.
ABSENT = ("boto3", "botocore")


class LeftOut(ModuleType):
    """Stands in for a module that is not loaded; any use of it says so."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{self.__name__}.{name} is left out of the data-quality worker (kanta.quality.__main__)")


def _leave_out() -> None:
    sys.modules.update(dict.fromkeys(ABSENT))  # type: ignore[arg-type]  # None: importing it fails
    for name in LEFT_OUT:
        sys.modules[name] = LeftOut(name)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, sys.modules[name])


def _listen(questions: SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        questions.put(line)
    os._exit(0)  # the night is over or has died; nobody waits for what is being worked on


def _serve(questions: SimpleQueue[bytes], answers: IO[bytes]) -> NoReturn:
    _leave_out()
    gc.set_threshold(OBJECTS, 20, 20)
    from kanta.quality.judging import Court

    with Court() as court:
        while True:
            question = QUESTION.validate_json(questions.get())
            try:
                answer = Answer(results=tuple(court.judge(question.tables, question.contracts, question.docs)))
            except KantaError as error:
                answer = Answer(error=(error.what, error.where, error.next_step))
            if question.answer:
                answers.write(ANSWER.dump_json(answer) + b"\n")
                answers.flush()


def main() -> NoReturn:
    """Answers questions until stdin ends. A KantaError is an answer; anything else ends the worker, loudly."""
    questions: SimpleQueue[bytes] = SimpleQueue()
    Thread(target=_listen, args=(questions,), daemon=True).start()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    try:
        _serve(questions, answers)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # the interpreter cannot end while the listener waits for stdin


if __name__ == "__main__":
    main()
