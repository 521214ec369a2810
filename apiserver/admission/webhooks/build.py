"""One entry for the server: both plugins over one client, following the configurations."""

from __future__ import annotations

from apiserver.admission.interface import AdmissionPlugin
from apiserver.admission.webhooks.client import WebhookClient
from apiserver.admission.webhooks.configuration import Configurations
from apiserver.admission.webhooks.plugin import MutatingWebhooks, ValidatingWebhooks
from apiserver.auth.interface import Authorizer
from apiserver.registry.interface import ObjectReader
from machinery.api.table import KindTable


class Webhooks:
    def __init__(self, reader: ObjectReader, kinds: KindTable, authorizer: Authorizer) -> None:
        self.client = WebhookClient(reader)
        mutating = Configurations(reader, "mutatingwebhookconfigurations")
        validating = Configurations(reader, "validatingwebhookconfigurations")
        self.plugins: tuple[AdmissionPlugin, ...] = (
            MutatingWebhooks(mutating, self.client, reader, kinds, authorizer),
            ValidatingWebhooks(validating, self.client, reader, kinds, authorizer),
        )

    async def close(self) -> None:
        await self.client.close()
