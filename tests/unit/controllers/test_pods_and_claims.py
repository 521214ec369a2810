"""Pods: readiness, scale-down order; claims; hashes; expectations; slow start."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.claims import adoption_patch, plan_claims, release_patch
from controllers.context import slow_start
from controllers.expectations import TIMEOUT_SECONDS, Expectations
from controllers.hashing import fnv32, hash_bytes, semantically_equal, template_hash
from controllers.history import plan_history, revision_hash
from controllers.pods import (
    is_pod_active,
    is_pod_available,
    pod_from_template,
    pods_to_delete,
    seconds_to_availability,
)
from machinery.testing.fake_clock import FakeClock
from tests.unit.controllers.builders import NOW, ago, names, owner_ref, pod, template, workload


@pytest.mark.parametrize(
    ("made", "active"),
    [
        (pod(), True), (pod(phase="Pending"), True), (pod(phase="Failed"), False), (pod(phase="Succeeded"), False),
        (pod(deleting=True), False),
    ],
)  # fmt: skip
def test_only_living_pods_count_as_replicas(made, active):
    assert is_pod_active(made) is active


def test_availability_needs_min_ready_seconds():
    made = pod(ready_for=10)
    assert is_pod_available(made, 0, NOW)
    assert is_pod_available(made, 10, NOW)
    assert not is_pod_available(made, 11, NOW)
    assert seconds_to_availability([made], 11, NOW) == 1
    assert seconds_to_availability([made], 10, NOW) is None
    assert not is_pod_available(pod(ready=False), 0, NOW)


#: Each pair: the first is deleted before the second, all else equal.
ORDER = [
    (pod("a", node=""), pod("b")),
    (pod("a", phase="Pending"), pod("b", phase="Running", ready=False)),
    (pod("a", ready=False), pod("b")),
    (pod("a", annotations={"controller.kubernetes.io/pod-deletion-cost": "-5"}), pod("b")),
    (pod("a"), pod("b", annotations={"controller.kubernetes.io/pod-deletion-cost": "100"})),
    (pod("a", ready_for=1), pod("b", ready_for=4000)),
    (pod("a", creationTimestamp=ago(2)), pod("b", creationTimestamp=ago(90000))),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), ORDER)
def test_scale_down_order(first, second):
    assert names(pods_to_delete([second, first], [], 1, NOW)) == [first["metadata"]["name"]]
    assert names(pods_to_delete([first, second], [], 1, NOW)) == [first["metadata"]["name"]]


def test_scale_down_prefers_crowded_nodes_and_restarted_pods():
    lonely, crowded = pod("a", node="n1"), pod("b", node="n2")
    assert names(pods_to_delete([lonely, crowded], [lonely, crowded, pod("c", node="n2")], 1, NOW)) == ["b"]
    calm, restless = pod("a"), pod("b")
    restless["status"]["containerStatuses"] = [{"name": "c", "restartCount": 7}]
    assert names(pods_to_delete([calm, restless], [], 1, NOW)) == ["b"]


@given(st.lists(st.tuples(st.sampled_from(["Pending", "Running"]), st.booleans(), st.booleans()), max_size=8),
       st.integers(0, 8))  # fmt: skip
def test_scale_down_never_takes_a_ready_pod_while_an_unready_one_stays(shapes, count):
    pods = [
        pod(f"p{number}", phase=phase, ready=ready and phase == "Running", node="n" if placed else "")
        for number, (phase, ready, placed) in enumerate(shapes)
    ]
    chosen = pods_to_delete(pods, [], count, NOW)
    assert len(chosen) == min(count, len(pods))
    kept = [item for item in pods if item not in chosen]

    def rank(item):
        return (bool(item["spec"].get("nodeName")), item["status"]["phase"] == "Running",
                item["status"]["conditions"][0]["status"] == "True")  # fmt: skip

    assert all(rank(gone) <= rank(stays) for gone in chosen for stays in kept)


def test_a_pod_from_a_template_shares_nothing_with_it():
    owner = workload("ReplicaSet", "rs")
    owner["spec"]["template"]["metadata"]["annotations"] = {"k": "v"}
    made = pod_from_template(owner["spec"]["template"], owner, owner_ref(owner, "ReplicaSet"))
    assert made["metadata"]["generateName"] == "rs-"
    assert made["metadata"]["annotations"] == {"k": "v"}
    made["spec"]["containers"][0]["image"] = "changed"
    made["metadata"]["labels"]["x"] = "y"
    assert owner["spec"]["template"] == {**template(), "metadata": {"labels": {"app": "a"}, "annotations": {"k": "v"}}}


# --- claims -------------------------------------------------------------------------------------------------------


def test_claims_adopt_release_and_leave_alone():
    owner, other = workload("ReplicaSet", "mine"), workload("ReplicaSet", "other")
    mine = pod("mine", ownerReferences=[owner_ref(owner, "ReplicaSet")])
    strayed = pod("strayed", labels={"app": "b"}, ownerReferences=[owner_ref(owner, "ReplicaSet")])
    orphan, stranger = pod("orphan"), pod("stranger", labels={"app": "b"})
    foreign = pod("foreign", ownerReferences=[owner_ref(other, "ReplicaSet")])
    going = pod("going", deleting=True)
    claims = plan_claims(owner, lambda labels: labels.get("app") == "a",
                         [mine, strayed, orphan, stranger, foreign, going])  # fmt: skip
    assert names(claims.owned) == ["mine"]
    assert names(claims.adopt) == ["orphan"]
    assert names(claims.release) == ["strayed"]


def test_an_owner_on_its_way_out_claims_nothing_new():
    owner = workload("ReplicaSet")
    owner["metadata"]["deletionTimestamp"] = ago(1)
    mine = pod("mine", ownerReferences=[owner_ref(owner, "ReplicaSet")])
    strayed = pod("strayed", labels={"x": "y"}, ownerReferences=[owner_ref(owner, "ReplicaSet")])
    claims = plan_claims(owner, lambda labels: labels.get("app") == "a", [mine, strayed, pod("orphan")])
    assert (names(claims.owned), claims.adopt, claims.release) == (["mine"], [], [])


def test_claim_patches_carry_the_uid():
    made = pod()
    assert adoption_patch(made, {"uid": "o"}, ["f"])["metadata"] == {
        "ownerReferences": [{"uid": "o"}], "uid": made["metadata"]["uid"], "finalizers": ["f"],
    }  # fmt: skip
    assert release_patch(made, "o", ["f"])["metadata"] == {
        "ownerReferences": [{"$patch": "delete", "uid": "o"}], "uid": made["metadata"]["uid"],
        "$deleteFromPrimitiveList/finalizers": ["f"],
    }  # fmt: skip


# --- hashes -------------------------------------------------------------------------------------------------------


def test_fnv_is_fnv():
    assert fnv32(b"") == 0x811C9DC5
    assert fnv32(b"a") == 0x050C5D7E


def test_revision_hash_is_upstreams():
    """Recorded: a revision's hash is over the patch as JSON with sorted keys, plus the collision count."""
    container = {"image": "x:1", "imagePullPolicy": "IfNotPresent", "name": "c", "resources": {},
                 "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}  # fmt: skip
    made = {
        "metadata": {"labels": {"app": "db"}},
        "spec": {"containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": "Always",
                 "schedulerName": "nobody", "securityContext": {}, "terminationGracePeriodSeconds": 30},
    }  # fmt: skip
    assert revision_hash(made, 0) == "54d445ffdf"
    container["image"] = "y:2"
    assert revision_hash(made, 0) == "666d76d69f"


def test_template_hash_ignores_nothingness_and_sees_everything_else():
    assert template_hash(template()) == template_hash({**template(), "status": None})
    assert template_hash(template("x:1")) != template_hash(template("x:2"))
    assert template_hash(template(), 1) != template_hash(template())
    assert set(hash_bytes(b"any")) <= set("bcdfghjklmnpqrstvwxz2456789")
    assert semantically_equal({"a": {"b": []}, "c": 0}, {"c": 0, "d": None})
    assert not semantically_equal({"c": 0}, {})


def test_history_finds_renumbers_and_appends():
    def revision(image, number):
        data = {"spec": {"template": {**template(image), "$patch": "replace"}}}
        return {"metadata": {"name": f"r{number}"}, "data": data, "revision": number}

    known = [revision("x:1", 1), revision("x:2", 2)]
    back = plan_history(template("x:1"), known)
    assert back.current is known[0]
    assert back.must_renumber
    assert back.number == 3
    new = plan_history(template("x:3"), known)
    assert (new.current, new.number, new.old) == (None, 3, known)
    assert not plan_history(template("x:2"), known).must_renumber


# --- expectations -------------------------------------------------------------------------------------------------


async def test_expectations_wait_for_all_and_not_for_ever():
    clock = FakeClock()
    expectations = Expectations(clock)
    assert expectations.satisfied("k")
    expectations.expect_creations("k", 2)
    expectations.expect_deletions("k", ["u1"])
    expectations.creation_observed("k")
    expectations.deletion_observed("k", "u1")
    assert not expectations.satisfied("k")
    expectations.creation_observed("k")
    assert expectations.satisfied("k")
    expectations.expect_creations("k", 1)
    assert not expectations.satisfied("k")
    await clock.advance(TIMEOUT_SECONDS + 1)
    assert expectations.satisfied("k")
    expectations.expect_creations("k", 1)
    expectations.forget("k")
    assert expectations.satisfied("k")


def test_a_deletion_seen_twice_counts_once():
    expectations = Expectations(FakeClock())
    expectations.expect_deletions("k", ["u1", "u2"])
    expectations.deletion_observed("k", "u1")
    expectations.deletion_observed("k", "u1")
    assert not expectations.satisfied("k")


async def test_slow_start_doubles_and_stops_at_the_first_failing_batch():
    tried = []

    async def create(number):
        tried.append(number)
        if number >= 3:
            raise ValueError("full")

    started = await slow_start(100, create)
    assert (started.done, started.tried, str(started.error)) == (3, 7, "full")
    assert tried == [0, 1, 2, 3, 4, 5, 6]
    assert (await slow_start(0, create)).tried == 0
