"""A webhook that refuses everything must not keep the server from starting: nobody could take it away then."""

import json
import ssl
import urllib.error
import urllib.request

from tests.support.processes import ControlPlane

HOOK = {
    "metadata": {"name": "all"},
    "webhooks": [
        {
            "name": "all.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
            "clientConfig": {"url": "https://127.0.0.1:1/refuses"},
            "rules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}],
        }
    ],
}  # fmt: skip
HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
VIEW = "/apis/rbac.authorization.k8s.io/v1/clusterroles/view"


def ask(plane, method, path, body=None):
    context = ssl._create_unverified_context()
    request = urllib.request.Request(
        plane.url + path, method=method, data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {plane.token}", "Content-Type": "application/json"},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, context=context, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_missing_roles_are_made_again_at_start(tmp_path):
    plane = ControlPlane(tmp_path, store="sqlite")
    try:
        plane.start_apiserver()
        assert ask(plane, "DELETE", VIEW) == 200
        assert ask(plane, "POST", HOOKS, HOOK) == 201
        assert ask(plane, "POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "x"}}) == 500
        plane.processes["apiserver"].kill()
        plane.start_apiserver()
        assert ask(plane, "GET", VIEW) == 200
        assert ask(plane, "DELETE", f"{HOOKS}/all") == 200, "and the way out is open"
    finally:
        plane.stop()
