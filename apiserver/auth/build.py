"""One entry for the server: options in, the parts of authentication and authorization out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509

from apiserver.auth.authentication import BearerTokens, RequestAuthenticator
from apiserver.auth.authorization import AlwaysAllow, UnionAuthorizer
from apiserver.auth.certificates import CertificateAuthenticator, FrontProxyAuthenticator
from apiserver.auth.impersonation import Impersonation
from apiserver.auth.interface import Authorizer
from apiserver.auth.node.authorizer import NodeAuthorizer
from apiserver.auth.node.graph import NodeGraph
from apiserver.auth.rbac.authorizer import RbacAuthorizer
from apiserver.auth.rbac.escalation import EscalationGuard
from apiserver.auth.rbac.index import RbacIndex
from apiserver.auth.reviews import Reviews
from apiserver.auth.token_request import TokenRequests
from apiserver.auth.tokens.bootstrap import BootstrapTokens
from apiserver.auth.tokens.interface import TokenAuthenticator
from apiserver.auth.tokens.legacy import LegacyServiceAccountTokens
from apiserver.auth.tokens.service_account import ServiceAccountTokens, TokenIssuer
from apiserver.auth.tokens.signing import SigningKey, VerifyingKey, load_verifying_keys
from apiserver.auth.tokens.static import StaticTokens, load_token_file
from apiserver.registry.interface import ObjectReader
from machinery.runtime.clock import Clock, SystemClock

DEFAULT_ISSUER = "https://kubernetes.default.svc"


@dataclass(frozen=True)
class AuthOptions:
    """The server's flags that concern this package; a file that is None switches its part off."""

    client_ca_file: Path | None = None
    token_auth_file: Path | None = None
    service_account_signing_key_file: Path | None = None
    service_account_key_files: tuple[Path, ...] = ()
    service_account_issuer: str = DEFAULT_ISSUER
    service_account_extend_token_expiration: bool = True
    api_audiences: tuple[str, ...] = ()
    requestheader_client_ca_file: Path | None = None
    requestheader_allowed_names: tuple[str, ...] = ("front-proxy-client",)
    anonymous: bool = True
    bootstrap_tokens: bool = True
    authorization_modes: tuple[str, ...] = ("Node", "RBAC")
    clock: Clock = field(default_factory=SystemClock)

    @property
    def audiences(self) -> tuple[str, ...]:
        return self.api_audiences or (self.service_account_issuer,)

    @classmethod
    def from_home(
        cls,
        home: Path,
        *,
        token_auth_file: Path | None = None,
        anonymous: bool = True,
        authorization_modes: Sequence[str] = ("Node", "RBAC"),
    ) -> AuthOptions:
        """The usual layout, as ``machinery.pki.ensure_cluster_pki`` makes it."""
        pki = home / "pki"
        return cls(
            client_ca_file=pki / "ca.crt",
            token_auth_file=token_auth_file,
            service_account_signing_key_file=pki / "sa.key",
            service_account_key_files=(pki / "sa.pub",),
            requestheader_client_ca_file=pki / "front-proxy-ca.crt",
            anonymous=anonymous,
            authorization_modes=tuple(authorization_modes),
        )


def build_authenticator(options: AuthOptions, reader: ObjectReader) -> RequestAuthenticator:
    tokens: list[TokenAuthenticator] = []
    audiences = options.audiences
    if options.token_auth_file is not None:
        tokens.append(StaticTokens(load_token_file(options.token_auth_file), audiences))
    keys = verifying_keys(options)
    if keys:
        tokens.append(ServiceAccountTokens([options.service_account_issuer], keys, reader, options.clock))
        tokens.append(LegacyServiceAccountTokens(keys, reader, options.clock, audiences))
    if options.bootstrap_tokens:
        tokens.append(BootstrapTokens(reader, options.clock, audiences))
    certificates = front_proxy = None
    if options.client_ca_file is not None:
        certificates = CertificateAuthenticator(_authorities(options.client_ca_file), options.clock)
    if options.requestheader_client_ca_file is not None:
        front_proxy = FrontProxyAuthenticator(
            _authorities(options.requestheader_client_ca_file), options.requestheader_allowed_names, options.clock
        )
    return RequestAuthenticator(
        BearerTokens(tokens, audiences), certificates=certificates, front_proxy=front_proxy, anonymous=options.anonymous
    )


@dataclass(frozen=True)
class Authorization:
    """The authorizer, and the parts of it that others ask by themselves."""

    authorizer: UnionAuthorizer
    rbac: RbacAuthorizer | None
    escalation: EscalationGuard | None
    impersonation: Impersonation
    graph: NodeGraph | None


def build_authorization(options: AuthOptions, reader: ObjectReader) -> Authorization:
    authorizers: list[Authorizer] = []
    rbac, index, graph = None, None, None
    for mode in options.authorization_modes:
        if mode == "Node":
            graph = NodeGraph(reader)
            authorizers.append(NodeAuthorizer(graph))
        elif mode == "RBAC":
            index = RbacIndex(reader)
            rbac = RbacAuthorizer(index)
            authorizers.append(rbac)
        elif mode == "AlwaysAllow":
            authorizers.append(AlwaysAllow())
        else:
            raise ValueError(f"unknown authorization mode {mode!r}: choose from Node, RBAC, AlwaysAllow")
    union = UnionAuthorizer(authorizers)
    escalation = EscalationGuard(index, rbac, union) if index is not None and rbac is not None else None
    return Authorization(union, rbac, escalation, Impersonation(union), graph)


def build_reviews(
    options: AuthOptions, reader: ObjectReader, authenticator: RequestAuthenticator, authorization: Authorization
) -> Reviews:
    token_requests = None
    if options.service_account_signing_key_file is not None:
        issuer = TokenIssuer(
            options.service_account_issuer,
            SigningKey(options.service_account_signing_key_file.read_bytes()),
            options.clock,
            prolong=options.service_account_extend_token_expiration,
        )
        token_requests = TokenRequests(issuer, reader, options.audiences)
    return Reviews(
        authenticator, authorization.authorizer, authorization.rbac, token_requests, options.clock,
        node_authorizer=authorization.graph is not None,
    )  # fmt: skip


def verifying_keys(options: AuthOptions) -> list[VerifyingKey]:
    files = [*options.service_account_key_files]
    if not files and options.service_account_signing_key_file is not None:
        files = [options.service_account_signing_key_file]
    return load_verifying_keys(file.read_bytes() for file in files)


def _authorities(file: Path) -> Sequence[x509.Certificate]:
    return x509.load_pem_x509_certificates(file.read_bytes())
