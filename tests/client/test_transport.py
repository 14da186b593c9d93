"""The transport rules of decisions.md (c), against a stand-in server."""
import re
import threading
import time

import pytest
from library import Client
from stand_in import error

BALANCE = "GET credits/balance"
GOOD = (200, {"credits_remaining": 5, "credits_monthly_allowance": 9, "credits_reset_at": None, "recent_history": []})


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_passing_failures_are_repeated(server, status):
    server.answers[BALANCE] = [(status, error("x", "later"), {"Retry-After": "0"}), GOOD]
    with Client(server.url) as client:
        assert client.balance() == ""
    assert len(server.asked) == 2


@pytest.mark.parametrize("status, failure", [(400, "ValidationError"), (401, "AuthError"), (402, "PaymentRequiredError"), (403, "ForbiddenError"),
                                             (404, "NotFoundError"), (405, "ApiError"), (409, "ConflictError"), (410, "ApiError"),
                                             (413, "ApiError"), (415, "ValidationError"), (422, "ValidationError"), (501, "ServerError")])
def test_others_are_not(server, status, failure):
    server.answers[BALANCE] = [(status, error("some_code", "The reason"))]
    with Client(server.url) as client:
        assert client.balance() == failure
        assert client.error.http_status == status
        assert client.error.message == b"The reason"
        assert client.error.error_code == b"some_code"
        assert client.error.request_id == b"req_test"
    assert len(server.asked) == 1


def test_backoff_grows_and_gives_up(server):
    server.answers[BALANCE] = [(503, error("service_unavailable", "down"))]
    started = time.monotonic()
    with Client(server.url, retries=2) as client:
        assert client.balance() == "ServerError"
    assert len(server.asked) == 3
    assert 0.75 + 1.5 <= time.monotonic() - started <= 1.25 + 2.5 + 20  # a machine may be busy


def test_a_short_429_is_slept_a_long_one_is_not(server):
    server.answers[BALANCE] = [(429, error("rate_limited", "slow down"), {"Retry-After": "2"}), GOOD]
    started = time.monotonic()
    with Client(server.url) as client:
        assert client.balance() == ""
        assert time.monotonic() - started >= 2
        server.answers[BALANCE] = [(429, error("rate_limited", "slow down"), {"Retry-After": "121"})]
        started = time.monotonic()
        assert client.balance() == "RateLimitError"
        assert client.error.retry_after == 121
        assert time.monotonic() - started < 60


def test_every_post_carries_one_key_over_its_retries(server):
    server.answers["POST projects/"] = [(500, error("internal_error", "oops")), (201, {"project": {"name": "a"}})]
    assert server.cli("datasets", "create", "a").returncode == 0
    server.answers["POST projects/"] = [(201, {"project": {"name": "b"}})]
    assert server.cli("datasets", "create", "b").returncode == 0
    keys = [asked.headers["Idempotency-Key"] for asked in server.asked]
    assert keys[0] == keys[1] != keys[2]
    assert all(re.fullmatch("[0-9a-f]{32}", key) for key in keys)


def test_what_every_request_carries(server):
    server.answers[BALANCE] = [GOOD]
    with Client(server.url) as client:
        client.balance()
    headers = server.asked[0].headers
    assert headers["X-API-Key"] == "pk_live_test"
    assert headers["Accept"] == "application/json"
    assert headers["User-Agent"].startswith("libpictograph/")
    assert headers["Idempotency-Key"] is None


def test_redirects_are_failures(server):
    server.answers[BALANCE] = [(302, b"", {"Location": server.url + "/elsewhere"})]
    with Client(server.url) as client:
        assert client.balance() == "ApiError"
        assert client.error.message == b"HTTP 302"
    assert len(server.asked) == 1


@pytest.mark.parametrize("body", [b"<html>", b"{", b"[]", b""])
def test_a_success_that_is_not_what_was_promised(server, body):
    server.answers["GET projects/x"] = [(200, body, {"Content-Type": "application/json"})]
    server.answers["POST projects/"] = [(200, body, {"Content-Type": "application/json"})]
    done = server.cli("datasets", "create", "x")
    assert done.returncode == 1
    assert "not what the API promises" in done.stderr


def test_every_refused_field_is_known(server):
    rows = [{"loc": ["body", "annotations", 0, "class"], "msg": "Extra inputs are not permitted", "type": "extra_forbidden"},
            {"loc": ["body", "x"], "msg": "Field required", "type": "missing"}]
    server.answers[BALANCE] = [(422, error("validation_error", rows))]
    with Client(server.url) as client:
        assert client.balance() == "ValidationError"
        assert client.fields() == [("body.annotations.0.class", "Extra inputs are not permitted", "extra_forbidden"),
                                   ("body.x", "Field required", "missing")]


def test_figures_of_a_402(server):
    detail = {"message": "Not enough credits", "required": 300, "remaining": 0, "upgrade_url": "https://pay.example", "operation": None}
    server.answers[BALANCE] = [(402, error("insufficient_credits", detail))]
    with Client(server.url) as client:
        assert client.balance() == "PaymentRequiredError"
        assert (client.error.credits_required, client.error.credits_remaining) == (300, 0)
        assert client.error.upgrade_url == b"https://pay.example"
        assert client.error.message == b"Not enough credits"


def test_nobody_there():
    with Client("http://127.0.0.1:9", retries=0) as client:
        assert client.balance() == "NetworkError"


def test_silence_times_out(server):
    over = threading.Event()
    server.answers[BALANCE] = lambda asked: over.wait(60) and GOOD
    with Client(server.url, retries=0, timeout=0.3) as client:
        assert client.balance() == "RequestTimeoutError"
        assert not over.is_set()
    over.set()


def test_cancelling_ends_a_call_and_a_wait_between_tries(server):
    over = threading.Event()
    for answer in (lambda asked: over.wait(60) and GOOD, lambda asked: (429, error("x", "later"), {"Retry-After": "60"})):
        server.answers[BALANCE] = answer
        stop = threading.Event()
        threading.Timer(0.4, stop.set).start()
        with Client(server.url, retries=3, timeout=60, cancelled=lambda _: stop.is_set()) as client:
            started = time.monotonic()
            assert client.balance() == "Cancelled"
            assert time.monotonic() - started < 30
        over.set()


def test_many_threads_share_a_client(server):
    server.answers[BALANCE] = lambda asked: GOOD
    with Client(server.url) as client:
        from library import Error, lib
        import ctypes as c
        failures = []

        def work():
            own = Error()
            for _ in range(20):
                result = lib.pictograph_credits_balance(client.handle, c.byref(own))
                if not result:
                    failures.append(own.message)
                lib.pictograph_result_free(c.c_void_p(result))

        threads = [threading.Thread(target=work) for _ in range(30)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        assert failures == [] and len(server.asked) == 600


# ---- pagers ----

def serve_projects(server, total):
    def answer(asked):
        limit, offset = int(asked.query["limit"]), int(asked.query["offset"])
        return 200, {"projects": [{"name": f"p{i}"} for i in range(offset, min(offset + limit, total))]}
    server.answers["GET projects/"] = answer


@pytest.mark.parametrize("total, page, requests", [(0, 10, 1), (9, 10, 1), (10, 10, 2), (25, 10, 3), (30, 10, 4)])
def test_a_pager_ends_at_a_short_page(server, total, page, requests):
    serve_projects(server, total)
    with Client(server.url) as client:
        assert client.projects(page_size=page) == [f"p{i}" for i in range(total)]
        assert client.failure == ""
    assert len(server.asked) == requests


def test_a_pager_stops_at_the_maximum(server):
    serve_projects(server, 100)
    with Client(server.url) as client:
        assert client.projects(page_size=10, max_total=15) == [f"p{i}" for i in range(15)]
        assert len(server.asked) == 2
        assert client.projects(max_total=3) == ["p0", "p1", "p2"]
        assert server.asked[-1].query == {"limit": "3", "offset": "0"}
        assert client.projects(offset=98) == ["p98", "p99"]


def test_a_pager_tells_a_failure_from_the_end(server):
    server.answers["GET projects/"] = [(200, {"projects": [{"name": "a"}]}), (403, error("insufficient_role", "No"))]
    with Client(server.url) as client:
        assert client.projects(page_size=1) == ["a"]
        assert client.failure == "ForbiddenError"
