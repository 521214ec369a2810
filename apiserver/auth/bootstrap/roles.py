"""The default ClusterRoles for people and components: a table of facts that clients can see, not policy of our own.

A rule is one line: ``groups resources verbs [names]``, lists joined by commas (groups by ``+``; ``core`` is the empty
group), or ``paths urls verbs`` for non-resource URLs. Order matters: it is the order in which the server shows them.
"""

from __future__ import annotations

EVENTS = "core+events.k8s.io events create,patch,update"

# Roles whose rules are collected from others by label, and the roles that carry such a label.
AGGREGATED = ("admin", "edit", "view")
AGGREGATED_INTO = {
    "system:aggregate-to-admin": "admin",
    "system:aggregate-to-edit": "edit",
    "system:aggregate-to-view": "view",
    "edit": "admin",
    "view": "edit",
}

CLUSTER_ROLES: dict[str, tuple[str, ...]] = {
    "cluster-admin": (
        "* * *",
        "paths * *",
    ),
    "system:aggregate-to-admin": (
        "authorization.k8s.io localsubjectaccessreviews create",
        "rbac.authorization.k8s.io rolebindings,roles create,delete,deletecollection,get,list,patch,update,watch",
    ),
    "system:aggregate-to-edit": (
        "core pods/attach,pods/exec,pods/portforward,pods/proxy,secrets,services/proxy get,list,watch",
        "core serviceaccounts impersonate",
        "core pods,pods/attach,pods/exec,pods/portforward,pods/proxy create,delete,deletecollection,patch,update",
        "core pods/eviction create",
        "core configmaps,persistentvolumeclaims,replicationcontrollers,replicationcontrollers/scale,secrets,"
        "serviceaccounts,services,services/proxy create,delete,deletecollection,patch,update",
        "core serviceaccounts/token create",
        "core+events.k8s.io events create,delete,deletecollection,patch,update",
        "apps daemonsets,deployments,deployments/rollback,deployments/scale,replicasets,replicasets/scale,"
        "statefulsets,statefulsets/scale create,delete,deletecollection,patch,update",
        "autoscaling horizontalpodautoscalers create,delete,deletecollection,patch,update",
        "batch cronjobs,jobs create,delete,deletecollection,patch,update",
        "extensions daemonsets,deployments,deployments/rollback,deployments/scale,ingresses,networkpolicies,"
        "replicasets,replicasets/scale,replicationcontrollers/scale create,delete,deletecollection,patch,"
        "update",
        "policy poddisruptionbudgets create,delete,deletecollection,patch,update",
        "networking.k8s.io ingresses,networkpolicies create,delete,deletecollection,patch,update",
        "coordination.k8s.io leases create,delete,deletecollection,get,list,patch,update,watch",
        "resource.k8s.io resourceclaims,resourceclaimtemplates create,delete,deletecollection,patch,update",
    ),
    "system:aggregate-to-view": (
        "core configmaps,endpoints,persistentvolumeclaims,persistentvolumeclaims/status,pods,"
        "replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,services/status get,"
        "list,watch",
        "core bindings,events,limitranges,namespaces/status,pods/log,pods/status,"
        "replicationcontrollers/status,resourcequotas,resourcequotas/status get,list,watch",
        "core namespaces get,list,watch",
        "events.k8s.io events get,list,watch",
        "discovery.k8s.io endpointslices get,list,watch",
        "apps controllerrevisions,daemonsets,daemonsets/status,deployments,deployments/scale,"
        "deployments/status,replicasets,replicasets/scale,replicasets/status,statefulsets,statefulsets/scale,"
        "statefulsets/status get,list,watch",
        "autoscaling horizontalpodautoscalers,horizontalpodautoscalers/status get,list,watch",
        "batch cronjobs,cronjobs/status,jobs,jobs/status get,list,watch",
        "extensions daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,ingresses,"
        "ingresses/status,networkpolicies,replicasets,replicasets/scale,replicasets/status,"
        "replicationcontrollers/scale get,list,watch",
        "policy poddisruptionbudgets,poddisruptionbudgets/status get,list,watch",
        "networking.k8s.io ingresses,ingresses/status,networkpolicies get,list,watch",
        "resource.k8s.io resourceclaims,resourceclaims/status,resourceclaimtemplates get,list,watch",
    ),
    "system:auth-delegator": (
        "authentication.k8s.io tokenreviews create",
        "authorization.k8s.io subjectaccessreviews create",
    ),
    "system:basic-user": (
        "authorization.k8s.io selfsubjectaccessreviews,selfsubjectrulesreviews create",
        "authentication.k8s.io selfsubjectreviews create",
    ),
    "system:certificates.k8s.io:certificatesigningrequests:nodeclient": (
        "certificates.k8s.io certificatesigningrequests/nodeclient create",
    ),
    "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient": (
        "certificates.k8s.io certificatesigningrequests/selfnodeclient create",
    ),
    "system:certificates.k8s.io:kube-apiserver-client-approver": (
        "certificates.k8s.io signers approve kubernetes.io/kube-apiserver-client",
    ),
    "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver": (
        "certificates.k8s.io signers approve kubernetes.io/kube-apiserver-client-kubelet",
    ),
    "system:certificates.k8s.io:kubelet-serving-approver": (
        "certificates.k8s.io signers approve kubernetes.io/kubelet-serving",
    ),
    "system:certificates.k8s.io:legacy-unknown-approver": (
        "certificates.k8s.io signers approve kubernetes.io/legacy-unknown",
    ),
    "system:discovery": (
        "paths /api,/api/*,/apis,/apis/*,/healthz,/livez,/openapi,/openapi/*,/readyz,/version,/version/ get",
    ),
    "system:heapster": (
        "core events,namespaces,nodes,pods get,list,watch",
        "extensions deployments get,list,watch",
    ),
    "system:kube-aggregator": ("core endpoints,services get,list,watch",),
    "system:kube-controller-manager": (
        EVENTS,
        "coordination.k8s.io leases create",
        "coordination.k8s.io leases get,list,update,watch kube-controller-manager",
        "coordination.k8s.io leasecandidates create,delete,deletecollection,get,list,patch,update,watch",
        "core secrets,serviceaccounts create",
        "core secrets delete",
        "core configmaps,namespaces,secrets,serviceaccounts get",
        "core secrets,serviceaccounts update",
        "authentication.k8s.io tokenreviews create",
        "authorization.k8s.io subjectaccessreviews create",
        "* * list,watch",
        "core serviceaccounts/token create",
    ),
    "system:kube-dns": ("core endpoints,services list,watch",),
    "system:kube-scheduler": (
        EVENTS,
        "coordination.k8s.io leases create",
        "coordination.k8s.io leases get,list,update,watch kube-scheduler",
        "coordination.k8s.io leasecandidates create,delete,deletecollection,get,list,patch,update,watch",
        "core nodes get,list,watch",
        "core pods delete,get,list,watch",
        "core bindings,pods/binding create",
        "core pods/status patch,update",
        "core replicationcontrollers,services get,list,watch",
        "apps+extensions replicasets get,list,watch",
        "apps statefulsets get,list,watch",
        "policy poddisruptionbudgets get,list,watch",
        "core persistentvolumeclaims,persistentvolumes get,list,watch",
        "authentication.k8s.io tokenreviews create",
        "authorization.k8s.io subjectaccessreviews create",
        "storage.k8s.io csinodes get,list,watch",
        "storage.k8s.io volumeattachments get,list,watch",
        "core namespaces get,list,watch",
        "storage.k8s.io csidrivers get,list,watch",
        "storage.k8s.io csistoragecapacities get,list,watch",
        "resource.k8s.io deviceclasses get,list,watch",
        "resource.k8s.io resourceclaims get,list,patch,update,watch",
        "resource.k8s.io resourceclaims/status get,list,patch,update,watch",
        "core pods/finalizers update",
        "resource.k8s.io resourceslices get,list,watch",
        "resource.k8s.io resourceclaims create,delete",
        "resource.k8s.io resourceclaims/binding patch,update",
    ),
    "system:kubelet-api-admin": (
        "core nodes get,list,watch",
        "core nodes proxy",
        "core nodes/checkpoint,nodes/configz,nodes/healthz,nodes/log,nodes/metrics,nodes/pods,nodes/proxy,"
        "nodes/stats *",
    ),
    "system:monitoring": (
        "paths /flagz,/healthz,/healthz/*,/livez,/livez/*,/metrics,/metrics/slis,/readyz,/readyz/*,/statusz get",
        "core nodes/metrics get",
    ),
    "system:node": (
        "authentication.k8s.io tokenreviews create",
        "authorization.k8s.io localsubjectaccessreviews,subjectaccessreviews create",
        "core services get,list,watch",
        "core nodes create,get,list,watch",
        "core nodes/status patch,update",
        "core nodes patch,update",
        EVENTS,
        "core pods get,list,watch",
        "core pods create,delete",
        "core pods/status patch,update",
        "core pods/eviction create",
        "core configmaps,secrets get,list,watch",
        "core persistentvolumeclaims,persistentvolumes get",
        "core endpoints get",
        "certificates.k8s.io certificatesigningrequests create,get,list,watch",
        "coordination.k8s.io leases create,delete,get,patch,update",
        "storage.k8s.io volumeattachments get",
        "core serviceaccounts/token create",
        "core persistentvolumeclaims/status get,patch,update",
        "storage.k8s.io csidrivers get,list,watch",
        "storage.k8s.io csinodes create,delete,get,patch,update",
        "node.k8s.io runtimeclasses get,list,watch",
        "resource.k8s.io resourceclaims get",
        "resource.k8s.io resourceslices deletecollection",
        "core serviceaccounts get",
    ),
    "system:node-bootstrapper": ("certificates.k8s.io certificatesigningrequests create,get,list,watch",),
    "system:node-problem-detector": (
        "core nodes get",
        "core nodes/status patch",
        EVENTS,
    ),
    "system:node-proxier": (
        "core endpoints,services list,watch",
        "core nodes get,list,watch",
        EVENTS,
        "networking.k8s.io servicecidrs list,watch",
        "discovery.k8s.io endpointslices list,watch",
    ),
    "system:persistent-volume-provisioner": (
        "core persistentvolumes create,delete,get,list,watch",
        "core persistentvolumeclaims get,list,update,watch",
        "storage.k8s.io storageclasses get,list,watch",
        "core events watch",
        EVENTS,
    ),
    "system:public-info-viewer": ("paths /healthz,/livez,/readyz,/version,/version/ get",),
    "system:service-account-issuer-discovery": (
        "paths /.well-known/openid-configuration,/.well-known/openid-configuration/,/openid/v1/jwks,"
        "/openid/v1/jwks/ get",
    ),
    "system:volume-scheduler": (
        "core persistentvolumes get,list,patch,update,watch",
        "storage.k8s.io storageclasses get,list,watch",
        "core persistentvolumeclaims get,list,patch,update,watch",
    ),
}
