"""Admission policies: rules in CEL that a cluster's own objects bring (ValidatingAdmissionPolicy and its bindings).

    environment  what an expression may speak of     checks    mistakes of a policy, told when it is written
    compiled     a policy ready to judge             matching  does it, does a binding, want this write
    params       the objects a binding points at     plugin    judging, and what becomes of a failure
    authorizer   ``authorizer`` in expressions
"""
