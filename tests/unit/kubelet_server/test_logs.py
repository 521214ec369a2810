"""Reading logs: tails, times, limits, partial lines, rotation."""

import asyncio
from datetime import UTC, datetime

import pytest

from kubelet.server.logs import BadLogOptions, LogOptions, read_log, tail_offset

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def write(path, *entries):
    with path.open("ab") as file:
        for entry in entries:
            second, tag, text = entry if isinstance(entry, tuple) else (0, "F", entry)
            stream = "stderr" if text.startswith("err") else "stdout"
            file.write(f"2026-01-01T11:00:{second:02d}.000000001Z {stream} {tag} {text}\n".encode())


async def read(path, **query):
    options = LogOptions.from_query({key: str(value) for key, value in query.items()}, NOW)
    return b"".join([piece async for piece in read_log(path, options)]).decode()


async def test_everything_without_options(tmp_path):
    write(tmp_path / "l", "a", "b")
    assert await read(tmp_path / "l") == "a\nb\n"


@pytest.mark.parametrize(("lines", "text"), [(0, ""), (1, "c\n"), (2, "b\nc\n"), (9, "a\nb\nc\n")])
async def test_tail(tmp_path, lines, text):
    write(tmp_path / "l", "a", "b", "c")
    assert await read(tmp_path / "l", tailLines=lines) == text


async def test_tail_over_many_blocks_equals_the_end_of_the_whole(tmp_path):
    write(tmp_path / "l", *(f"line {n} {'x' * (n % 200)}" for n in range(5000)))
    whole = await read(tmp_path / "l")
    for lines in (1, 7, 700, 4999, 5000):
        assert await read(tmp_path / "l", tailLines=lines) == "".join(whole.splitlines(True)[-lines:])


async def test_partial_pieces_are_one_line(tmp_path):
    write(tmp_path / "l", "first", (0, "P", "lo"), (0, "P", "ng "), (0, "F", "line"), "last")
    assert await read(tmp_path / "l", tailLines=2) == "long line\nlast\n"
    assert (await read(tmp_path / "l", timestamps="true")).count("2026-01-01") == 3


async def test_times_limits_and_streams(tmp_path):
    write(tmp_path / "l", (1, "F", "a"), (5, "F", "err b"), (9, "F", "c"))
    assert await read(tmp_path / "l", sinceTime="2026-01-01T11:00:05Z") == "err b\nc\n"
    assert await read(tmp_path / "l", limitBytes=4) == "a\ner"
    assert await read(tmp_path / "l", stream="Stderr") == "err b\n"


@pytest.mark.parametrize("query", [{"tailLines": "x"}, {"tailLines": "-1"}, {"sinceTime": "yesterday"}])
def test_bad_options_are_named(query):
    with pytest.raises(BadLogOptions, match=next(iter(query))):
        LogOptions.from_query(query, NOW)


async def test_follow_goes_over_a_rotation_and_ends_with_the_container(tmp_path):
    path, ended = tmp_path / "l", asyncio.Event()
    write(path, "a")
    got = []

    async def follow():
        async for piece in read_log(path, LogOptions(follow=True), running=ended):
            got.append(piece.decode())

    task = asyncio.create_task(follow())
    await asyncio.sleep(0.05)
    write(path, "b")
    path.rename(tmp_path / "l.1")
    write(path, "c")
    await asyncio.sleep(0.7)
    write(path, "d")
    ended.set()
    await asyncio.wait_for(task, 3)
    assert "".join(got) == "a\nb\nc\nd\n"


def test_tail_of_an_empty_file(tmp_path):
    (tmp_path / "l").write_bytes(b"")
    assert tail_offset(tmp_path / "l", 5) == 0
