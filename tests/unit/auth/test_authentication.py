"""Every kind of credential: what it makes of its bearer, and what is refused."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from apiserver.auth.authentication import RequestAuthenticator
from apiserver.auth.build import AuthOptions, build_authenticator, build_authorization, build_reviews
from apiserver.auth.interface import Credentials, User
from apiserver.auth.reviews import Reviews
from apiserver.auth.tokens.static import parse_token_file
from machinery.meta.errors import ApiError
from machinery.pki import ClusterPki, create_authority, issue
from machinery.testing.fake_clock import FakeClock

AUDIENCE = "https://kubernetes.default.svc"


@pytest.fixture
def authenticator(options: AuthOptions, reader: Any) -> RequestAuthenticator:
    return build_authenticator(options, reader)


@pytest.fixture
def reviews(options: AuthOptions, reader: Any, authenticator: RequestAuthenticator) -> Reviews:
    return build_reviews(options, reader, authenticator, build_authorization(options, reader))


def bearer(token: str) -> Credentials:
    return Credentials(f"Bearer {token}")


def populate(reader: Any) -> None:
    reader.put("serviceaccounts", {"metadata": {"namespace": "ns", "name": "robot", "uid": "sa-1"}})
    reader.put("nodes", {"metadata": {"name": "n1", "uid": "node-1"}})
    reader.put(
        "pods",
        {"metadata": {"namespace": "ns", "name": "p", "uid": "pod-1"},
         "spec": {"serviceAccountName": "robot", "nodeName": "n1"}},
    )  # fmt: skip


async def issue_token(reviews: Reviews, **spec: Any) -> str:
    answer = await reviews.token_request(User("root"), {"spec": spec}, "ns", "robot")
    token: str = answer["status"]["token"]
    return token


async def refused(authenticator: RequestAuthenticator, credentials: Credentials) -> bool:
    try:
        await authenticator.authenticate(credentials)
    except ApiError as error:
        return error.code == 401
    return False


async def test_a_static_token_gives_its_user_and_groups(authenticator: RequestAuthenticator) -> None:
    user = await authenticator.authenticate(bearer("admintoken"))
    assert user == User("admin", "a1", ("system:masters", "system:authenticated"))
    assert await authenticator.authenticate(Credentials("bearer viewtoken ")) == User(
        "bob", "b1", ("system:authenticated",)
    )


@pytest.mark.parametrize("header", [None, "", "Bearer ", "Bearer  admintoken", "Basic YWRtaW4="])
async def test_no_token_is_anonymous(authenticator: RequestAuthenticator, header: str | None) -> None:
    user = await authenticator.authenticate(Credentials(header))
    assert user == User("system:anonymous", groups=("system:unauthenticated",))


@pytest.mark.parametrize("token", ["nope", "a.b.c", "Admintoken", "x" * 100_000])
async def test_an_unknown_token_is_401_not_anonymous(authenticator: RequestAuthenticator, token: str) -> None:
    assert await refused(authenticator, bearer(token))


async def test_a_websocket_carries_its_token_as_a_protocol(authenticator: RequestAuthenticator) -> None:
    encoded = base64.urlsafe_b64encode(b"viewtoken").rstrip(b"=").decode()
    protocols = ("v5.channel.k8s.io", f"base64url.bearer.authorization.k8s.io.{encoded}")
    user = await authenticator.authenticate(Credentials(None, websocket_protocols=protocols))
    assert user is not None
    assert user.name == "bob"


@pytest.mark.parametrize("text", ["a,b\n", ",user,uid\n"])
def test_a_malformed_token_file_names_the_line(text: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        parse_token_file(text)


async def test_a_client_certificate_is_its_common_name_and_organizations(
    authenticator: RequestAuthenticator, home: Path, clock: FakeClock
) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    authority = ClusterPki(home, ()).authority()
    pair = issue(authority, "ann", clock.now(), organizations=["devs", "ops"])
    der = pair.certificate().public_bytes(Encoding.DER)
    user = await authenticator.authenticate(Credentials(None, der))
    assert user is not None
    assert (user.name, user.groups) == ("ann", ("devs", "ops", "system:authenticated"))
    foreign = issue(
        create_authority("kubernetes-ca", clock.now()), "ann", clock.now(), organizations=["system:masters"]
    )
    stranger = await authenticator.authenticate(Credentials(None, foreign.certificate().public_bytes(Encoding.DER)))
    assert stranger is not None
    assert stranger.name == "system:anonymous"


async def test_only_the_front_proxy_may_speak_for_others(
    authenticator: RequestAuthenticator, home: Path, clock: FakeClock
) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    headers = {"X-Remote-User": "ann", "X-Remote-Group": "devs", "X-Remote-Extra-Scopes": "view"}
    pki = ClusterPki(home, ())

    async def speak(authority: str, name: str) -> User | None:
        der = issue(pki.authority(authority), name, clock.now()).certificate().public_bytes(Encoding.DER)
        return await authenticator.authenticate(Credentials(None, der, headers))

    assert await speak("front-proxy-ca", "front-proxy-client") == User(
        "ann", "", ("devs", "system:authenticated"), {"scopes": ("view",)}
    )
    for authority, name in (("front-proxy-ca", "other"), ("ca", "front-proxy-client")):
        user = await speak(authority, name)
        assert user is not None
        assert user.name != "ann"


async def test_a_bound_token_tells_of_its_pod_and_node(
    authenticator: RequestAuthenticator, reviews: Reviews, reader: Any
) -> None:
    populate(reader)
    token = await issue_token(reviews, boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "p"})
    user = await authenticator.authenticate(bearer(token))
    assert user is not None
    assert user.name == "system:serviceaccount:ns:robot"
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated")
    prefix = "authentication.kubernetes.io/"
    assert user.extra[f"{prefix}pod-name"] == ("p",)
    assert user.extra[f"{prefix}node-uid"] == ("node-1",)
    assert user.extra[f"{prefix}credential-id"][0].startswith("JTI=")
    assert await authenticator.authenticate(bearer(token)) is user  # remembered, not made again


async def test_a_token_dies_with_what_it_is_bound_to(
    authenticator: RequestAuthenticator, reviews: Reviews, reader: Any, clock: FakeClock
) -> None:
    populate(reader)
    token = await issue_token(reviews, boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "p"})
    plain = await issue_token(reviews)
    pod = reader.get("", "pods", "ns", "p")
    reader.remove("nodes", "", "n1")
    assert not await refused(authenticator, bearer(token))  # the pod vouches, not its node
    reader.remove("pods", "ns", "p")
    assert await refused(authenticator, bearer(token))
    reader.put("pods", {**pod, "metadata": {**pod["metadata"], "uid": "another"}})
    assert await refused(authenticator, bearer(token))
    reader.remove("serviceaccounts", "ns", "robot")
    assert await refused(authenticator, bearer(plain))


async def test_a_token_expires(
    authenticator: RequestAuthenticator, reviews: Reviews, reader: Any, clock: FakeClock
) -> None:
    populate(reader)
    token = await issue_token(reviews, expirationSeconds=600)
    assert not await refused(authenticator, bearer(token))
    await clock.advance(601)
    assert await refused(authenticator, bearer(token))


async def test_the_usual_mount_is_prolonged_for_our_audience_only(reviews: Reviews, reader: Any) -> None:
    populate(reader)
    reference = {"kind": "Pod", "apiVersion": "v1", "name": "p"}

    def lifetime(token: str) -> int:
        claims = jwt.decode(token, options={"verify_signature": False})
        return int(claims["exp"] - claims["iat"])

    assert lifetime(await issue_token(reviews, expirationSeconds=3607, boundObjectRef=reference)) == 365 * 86400
    assert lifetime(await issue_token(reviews, expirationSeconds=3607)) == 3607
    vault = await issue_token(reviews, expirationSeconds=3607, boundObjectRef=reference, audiences=["vault"])
    assert lifetime(vault) == 3607


async def test_forged_tokens_are_refused(
    authenticator: RequestAuthenticator, reviews: Reviews, reader: Any, home: Path
) -> None:
    populate(reader)
    token = await issue_token(reviews)
    header, payload, signature = token.split(".")
    claims = jwt.decode(token, options={"verify_signature": False})
    public = (home / "pki" / "sa.pub").read_bytes()
    forged = [
        f"{header}.{payload}.{signature[:-4]}AAAA",
        jwt.encode(claims, None, algorithm="none"),
        # The public key taken for an HMAC secret: the algorithm must be the key's, not the token's.
        ".".join([
            base64.urlsafe_b64encode(b'{"alg":"HS256"}').rstrip(b"=").decode(), payload,
            base64.urlsafe_b64encode(__import__("hmac").digest(public, payload.encode(), "sha256")).decode(),
        ]),
    ]  # fmt: skip
    for each in forged:
        assert await refused(authenticator, bearer(each))
    assert await refused(authenticator, bearer(await issue_token(reviews, audiences=["vault"])))


@pytest.mark.parametrize(
    ("spec", "code", "text"),
    [
        ({"expirationSeconds": 599}, 422, "may not specify a duration less than 10 minutes"),
        ({"expirationSeconds": (1 << 32) + 1}, 422, "2^32"),
        ({"boundObjectRef": {"kind": "ConfigMap", "apiVersion": "v1"}}, 400, "object of type /v1, Kind=ConfigMap"),
        ({"boundObjectRef": {}}, 400, "object of type /, Kind="),
        ({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1"}}, 400, "Name parameter required."),
        ({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "none"}}, 404, 'pods "none" not found'),
        ({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": "u"}}, 409, "UID in record"),
    ],
)
async def test_token_requests_are_refused_in_upstreams_words(
    reviews: Reviews, reader: Any, spec: dict[str, Any], code: int, text: str
) -> None:
    populate(reader)
    with pytest.raises(ApiError) as refusal:
        await issue_token(reviews, **spec)
    assert refusal.value.code == code
    assert text in refusal.value.message


def bootstrap_secret(**data: str) -> dict[str, Any]:
    wanted = {
        "token-id": "a1b2c3",
        "token-secret": "0123456789abcdef",
        "usage-bootstrap-authentication": "true",
        **data,
    }
    return {
        "metadata": {"namespace": "kube-system", "name": "bootstrap-token-a1b2c3"},
        "type": "bootstrap.kubernetes.io/token",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in wanted.items()},
    }


async def test_a_bootstrap_token_gives_sorted_groups(authenticator: RequestAuthenticator, reader: Any) -> None:
    groups = "system:bootstrappers:z,system:bootstrappers:a,system:bootstrappers:a"
    reader.put("secrets", bootstrap_secret(**{"auth-extra-groups": groups}))
    user = await authenticator.authenticate(bearer("a1b2c3.0123456789abcdef"))
    assert user == User(
        "system:bootstrap:a1b2c3", "",
        ("system:bootstrappers", "system:bootstrappers:a", "system:bootstrappers:z", "system:authenticated"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        {"auth-extra-groups": "system:masters"}, {"usage-bootstrap-authentication": "True"}, {"token-id": "ffffff"},
        {"expiration": "2020-01-01T00:00:00Z"}, {"expiration": "2199-01-01T00:00:00"}, {"expiration": "tomorrow"},
        {"token-secret": "0123456789abcdee"}, {"token-secret": "0123456789abcdeé"}, {"token-secret": ""},
    ],
)  # fmt: skip
async def test_a_bootstrap_secret_that_is_wrong_in_any_way_is_no_token(
    authenticator: RequestAuthenticator, reader: Any, data: dict[str, str]
) -> None:
    reader.put("secrets", bootstrap_secret(**data))
    assert await refused(authenticator, bearer("a1b2c3.0123456789abcdef"))


async def test_a_token_review_says_why_not(reviews: Reviews, reader: Any, clock: FakeClock) -> None:
    populate(reader)
    token = await issue_token(reviews, audiences=["vault"])

    async def review(**spec: Any) -> dict[str, Any]:
        answer = await reviews.token_review(User("root"), {"spec": spec})
        status: dict[str, Any] = answer["status"]
        return status

    assert (await review(token=token))["error"] == (
        f'[invalid bearer token, token audiences ["vault"] is invalid for the target audiences ["{AUDIENCE}"]]'
    )
    assert (await review(token="a.b.c"))["error"] == "invalid bearer token"
    assert (await review(token=token, audiences=["x", "vault"]))["audiences"] == ["vault"]
    await clock.advance(timedelta(days=1).total_seconds())
    assert "expired" in (await review(token=token, audiences=["vault"]))["error"]


async def test_a_token_of_a_secret_lives_as_long_as_its_secret(
    authenticator: RequestAuthenticator, reader: Any, home: Path
) -> None:
    populate(reader)
    prefix = "kubernetes.io/serviceaccount/"
    claims = {
        "iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:ns:robot", f"{prefix}namespace": "ns",
        f"{prefix}secret.name": "t", f"{prefix}service-account.name": "robot",
        f"{prefix}service-account.uid": "sa-1",
    }  # fmt: skip
    token = jwt.encode(claims, (home / "pki" / "sa.key").read_bytes(), algorithm="RS256")
    assert await refused(authenticator, bearer(token))
    data = {"token": base64.b64encode(token.encode()).decode()}
    reader.put("secrets", {"metadata": {"namespace": "ns", "name": "t"}, "data": data})
    user = await authenticator.authenticate(bearer(token))
    assert user is not None
    assert (user.name, user.uid, dict(user.extra)) == ("system:serviceaccount:ns:robot", "sa-1", {})
    reader.put("secrets", {"metadata": {"namespace": "ns", "name": "t"}, "data": {"token": "eA=="}})
    assert await refused(authenticator, bearer(token))
    forged = jwt.encode({**claims, f"{prefix}service-account.uid": ""}, (home / "pki" / "sa.key").read_bytes(), "RS256")
    assert await refused(authenticator, bearer(forged))
