"""Controllers act as service accounts: accounts are made on demand, tokens renewed, a lost account is made anew."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from controllers.identities import TOKEN_SECONDS, Identities
from machinery.client import Client
from machinery.client.kubeconfig import ClientConfig
from machinery.client.rest import Response
from machinery.meta import errors
from machinery.meta.objects import format_time
from machinery.testing.fake_clock import FakeClock


class Root(Client):
    """Answers token requests; ``accounts`` are those that exist."""

    def __init__(self, clock):
        super().__init__(ClientConfig("https://api", cert_data=b"admin", key_data=b"admin"))
        self.clock, self.accounts, self.issued = clock, set(), 0

    async def request(self, method, path, **options):
        import orjson

        if path.endswith("/token"):
            name = path.split("/")[-2]
            if name not in self.accounts:
                raise errors.not_found("", "serviceaccounts", name)
            self.issued += 1
            expires = format_time(self.clock.now() + timedelta(seconds=TOKEN_SECONDS))
            status = {"token": f"t{self.issued}", "expirationTimestamp": expires}
            return Response(201, {}, orjson.dumps({"status": status}))
        assert (method, path) == ("POST", "/api/v1/namespaces/kube-system/serviceaccounts")
        self.accounts.add(options["body"]["metadata"]["name"])
        return Response(201, {}, b"{}")


@pytest.fixture
def setting(monkeypatch):
    clock = FakeClock()
    root, seen = Root(clock), []

    async def exchange(self, method, path, **options):
        seen.append(self.config.bearer_token())
        if refuse and refuse.pop():
            raise errors.unauthorized()
        return Response(200, {}, b"{}")

    refuse: list[bool] = []
    monkeypatch.setattr(Client, "request", exchange)
    return Identities(root, clock, use_service_accounts=True), root, clock, seen, refuse


async def test_an_account_is_made_on_first_use_and_its_token_kept(setting):
    identities, root, _, seen, _ = setting
    client = identities.client("job-controller")
    assert client is identities.client("job-controller")
    for _ in range(3):
        await client.get("v1", "pods", "p")
    assert root.accounts == {"job-controller"}
    assert seen == ["t1", "t1", "t1"]


async def test_a_token_is_renewed_before_it_expires(setting):
    identities, _, clock, seen, _ = setting
    client = identities.client("a")
    await client.get("v1", "pods", "p")
    await clock.advance(TOKEN_SECONDS - 601)
    await client.get("v1", "pods", "p")
    await clock.advance(2)
    await client.get("v1", "pods", "p")
    assert seen == ["t1", "t1", "t2"]


async def test_a_refused_token_is_replaced_once(setting):
    identities, _, _, seen, refuse = setting
    client = identities.client("a")
    refuse.append(True)
    await client.get("v1", "pods", "p")
    assert seen == ["t1", "t2"]
    refuse += [True, True]
    with pytest.raises(errors.ApiError, match="Unauthorized"):
        await client.get("v1", "pods", "p")


async def test_the_admin_certificate_is_not_used_for_accounts(setting):
    identities, root, _, _, _ = setting
    config = identities.client("a").config
    assert (config.cert_data, config.key_data, config.token) == (b"", b"", "")
    assert dataclasses.replace(root.config, cert_data=b"", key_data=b"") == config


def test_without_service_accounts_all_use_the_process_identity():
    root = Client(ClientConfig("https://api"))
    identities = Identities(root, FakeClock(), use_service_accounts=False)
    assert identities.client("a") is root
