"""The one exception that a command ends with: a sentence for the person, and an exit code.

Whoever raises it says what is wrong and what to do. `main` prints the sentence and nothing else; a traceback is for
programming errors only.
"""

from __future__ import annotations


class CommandError(Exception):
    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
