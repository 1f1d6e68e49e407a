"""Old documents go, or are rolled up, each of them once; and they stay away."""

import time

import pytest

from edge_peer.bigpeer.retention import Retention, checked

DAY_S = 86_400
NOW_S = int(time.time()) // 3600 * 3600
ROLL_UP = {"everyS": 3600, "fields": ["temp"], "by": ["device"], "into": "hourly"}


@pytest.fixture
def look(server):
    """look(policy) lets go what is older, as if it were NOW_S."""

    def one(policy):
        async def run():
            retention = Retention(server.big, lambda: NOW_S * 1000)
            retention.set("raw", policy)
            await retention.look()
            retention.set("raw", None)
            return retention.gone_count

        return server.do(run)

    server.execute("DELETE FROM raw")
    server.execute("DELETE FROM hourly")
    return one


def insert(server, first_s, temps, device="a"):
    rows = [{"ts": first_s + 60 * n, "temp": t, "device": device} for n, t in enumerate(temps)]
    return server.execute("INSERT INTO raw DOCUMENTS (:rows)", rows=rows)["mutatedDocumentIds"]


def hourly(server):
    return server.execute("SELECT ts, device, temp FROM hourly ORDER BY ts, device")["items"]


def test_what_is_old_goes_and_the_rest_stays(server, look):
    insert(server, NOW_S - 3 * DAY_S, [1, 2, 3])
    insert(server, NOW_S - DAY_S, [4])
    server.execute("INSERT INTO raw DOCUMENTS ({'temp': 5})")  # its write is its time: the future
    assert look({"keepDays": 2}) == 3
    temps = [one["temp"] for one in server.execute("SELECT temp FROM raw ORDER BY temp")["items"]]
    assert temps == [4, 5]
    assert look({"keepDays": 2}) == 0


def test_what_goes_is_rolled_up_and_what_comes_late_is_added(server, look):
    old_s = NOW_S - 3 * DAY_S
    insert(server, old_s, [20, 22, 24])
    insert(server, old_s + 3600, [30])
    insert(server, old_s, [1], "b")
    policy = {"keepDays": 2, "rollUp": ROLL_UP}
    assert look(policy) == 5
    assert server.execute("SELECT * FROM raw")["items"] == []
    insert(server, old_s + 600, [10])
    assert look(policy) == 1
    temps = {(one["ts"], one["device"]): one["temp"] for one in hourly(server)}
    assert temps == {
        (old_s, "a"): {"min": 10, "max": 24, "mean": 19, "count": 4},
        (old_s, "b"): {"min": 1, "max": 1, "mean": 1, "count": 1},
        (old_s + 3600, "a"): {"min": 30, "max": 30, "mean": 30, "count": 1},
    }


def test_many_go_in_several_commits_and_each_counts_once(server, look):
    insert(server, NOW_S - 5 * DAY_S, range(900))
    assert look({"keepDays": 2, "rollUp": ROLL_UP}) == 900
    assert sum(one["temp"]["count"] for one in hourly(server)) == 900


def test_a_policy_is_kept_and_told(server, start, tmp_path):
    server = start(tmp_path)
    path = f"/apps/{server.big.app_id}/retention"
    policy = {"keepDays": 30, "rollUp": ROLL_UP}
    assert server.ask("PUT", f"{path}/readings", json=policy).json() == policy
    server.stop()
    server = start(tmp_path)
    assert server.ask("GET", path).json() == {"policies": {"readings": policy}}
    assert server.ask("DELETE", f"{path}/readings").status_code == 204
    assert server.ask("DELETE", f"{path}/readings").status_code == 404
    assert server.ask("PUT", f"{path}/readings", json={"keepDays": 0}).status_code == 400


@pytest.mark.parametrize(
    ("collection", "policy"),
    [
        ("c", []), ("c", {}), ("c", {"keepDays": -1}), ("c", {"keepDays": True}),
        ("c", {"keepDays": float("nan")}), ("c", {"keepDays": 1, "more": 1}),
        ("__authors", {"keepDays": 1}), ("a`b", {"keepDays": 1}), ("x" * 65, {"keepDays": 1}),
        ("c", {"keepDays": 1, "rollUp": ROLL_UP | {"into": "c"}}),
        ("c", {"keepDays": 1, "rollUp": ROLL_UP | {"fields": []}}),
        ("c", {"keepDays": 1, "rollUp": ROLL_UP | {"by": ["temp"]}}),
        ("c", {"keepDays": 1, "rollUp": ROLL_UP | {"everyS": 0.5}}),
        ("c", {"keepDays": 1, "rollUp": ROLL_UP | {"by": [{}]}}),
    ],
)  # fmt: skip
def test_what_no_policy_can_be_is_told_in_a_sentence(collection, policy):
    with pytest.raises(ValueError, match="."):
        checked(collection, policy)
