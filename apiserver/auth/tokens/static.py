"""The static token file: ``token,user,uid,"group1,group2"`` a line. For tests and for breaking the glass."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from apiserver.auth.interface import User
from apiserver.auth.tokens.interface import TokenResult, common_audiences


class StaticTokens:
    def __init__(self, users: dict[str, User], api_audiences: Sequence[str]) -> None:
        self._users = users
        self._api_audiences = tuple(api_audiences)

    def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenResult | None:
        user = self._users.get(token)
        common = common_audiences(audiences, self._api_audiences)
        return TokenResult(user, common) if user is not None and common else None


def parse_token_file(text: str) -> dict[str, User]:
    users: dict[str, User] = {}
    for number, row in enumerate(csv.reader(io.StringIO(text), skipinitialspace=True), start=1):
        if not row:
            continue
        if len(row) < 3:
            raise ValueError(f"line {number}: token, user name and uid are needed, found {len(row)} columns")
        token, name, uid, *rest = row
        if not token:
            raise ValueError(f"line {number}: empty token")
        groups = tuple(group.strip() for group in rest[0].split(",") if group.strip()) if rest else ()
        users[token] = User(name, uid, groups)
    return users


def load_token_file(path: Path) -> dict[str, User]:
    try:
        return parse_token_file(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
