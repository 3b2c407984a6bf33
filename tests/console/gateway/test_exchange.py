from __future__ import annotations

import pytest

from byoi_console.gateway.exchange import Exchange
from byoi_console.gateway.http1 import Request


class Line:
    def __init__(self):
        self.out = b""
        self.ended = None
        self.is_writable = True

    def write(self, data):
        self.out += data

    def exchange_ended(self, *, keeps_alive):
        self.ended = keeps_alive

    def abort(self):
        self.ended = "aborted"


def exchange(method="GET", *, is_http10=False):
    request = Request(b"")
    request.method, request.keeps_alive, request.is_http10 = method, True, is_http10
    line = Line()
    return line, Exchange(line, request, "")


def test_the_head_leaves_with_the_first_piece():
    line, answer = exchange()
    answer.begin(200, [(b"a", b"b")])
    assert line.out == b""
    answer.write(b"hello")
    answer.finish()
    head = b"HTTP/1.1 200 OK\r\na: b\r\ntransfer-encoding: chunked\r\n\r\n"
    assert line.out == head + b"5\r\nhello\r\n0\r\n\r\n"
    assert line.ended is True


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("length", [None, 0])
def test_answers_without_a_body_have_none(status, length):
    line, answer = exchange()
    answer.begin(status, (), length)
    answer.write(b"")
    answer.finish()
    assert line.out.endswith(b"\r\n\r\n")
    assert b"0\r\n\r\n" not in line.out
    assert b"transfer-encoding" not in line.out
    assert line.ended is True


@pytest.mark.parametrize("length", [None, 5])
@pytest.mark.parametrize("body", [b"", b"hello"])
def test_head_has_no_body_whether_or_not_its_handler_writes_one(length, body):
    line, answer = exchange("HEAD")
    answer.begin(200, (), length)
    answer.write(body)
    answer.finish()
    assert line.out.count(b"\r\n\r\n") == 1
    assert line.ended is True


def test_a_body_shorter_than_it_said_closes_the_connection():
    line, answer = exchange()
    answer.begin(200, (), 5)
    answer.write(b"hell")
    answer.finish()
    assert line.ended is False


def test_a_header_cannot_start_another_one():
    _, answer = exchange()
    with pytest.raises(ValueError, match="one line"):
        answer.begin(200, [(b"a", b"b\r\nset-cookie: c")])


def test_what_is_written_after_the_client_left_goes_nowhere():
    line, answer = exchange()
    left = []
    answer.listen(left=lambda: left.append(1), writable=lambda: None)
    answer.client_left()
    answer.client_left()
    answer.begin(200, (), 1)
    answer.write(b"x")
    answer.finish()
    assert (line.out, left) == (b"", [1])


def test_one_who_listens_late_is_told_at_once():
    _, answer = exchange()
    answer.client_left()
    left = []
    answer.listen(left=lambda: left.append(1), writable=lambda: None)
    assert left == [1]


def test_probes_mean_nothing_to_a_client():
    line, answer = exchange()
    answer.probe()
    assert line.out == b"HTTP/1.1 100 Continue\r\n\r\n"
    answer.begin(200, [(b"content-type", b"text/event-stream")])
    answer.probe()
    assert line.out == b"HTTP/1.1 100 Continue\r\n\r\n"
    answer.write(b"data: x\n\n")
    line.out = b""
    answer.probe()
    assert line.out == b"3\r\n:\n\n\r\n"


def test_probes_leave_http_1_0_and_plain_bodies_alone():
    line, answer = exchange(is_http10=True)
    answer.probe()
    assert line.out == b""
    line, answer = exchange()
    answer.begin(200, (), 5)
    answer.flush()
    line.out = b""
    answer.probe()
    assert line.out == b""
