"""Every rule for the manifests of Kubernetes holds for a good overlay, and fails for one that breaks it."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from deploy.kubernetes.manifests import Overlay
from deploy.kubernetes.pod_rules import is_pinned_image
from deploy.kubernetes.policies import release_problems, violations

Object = dict[str, Any]
Change = Callable[[dict[str, Object]], object]

LABELS = {"app.kubernetes.io/name": "mailing", "app.kubernetes.io/component": "sender"}
SECRETS = {"mailing-provider": frozenset({"token"})}
RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
CONTAINER = {
    "name": "service",
    "image": "registry.example.com:5000/mailing-service:1.2.3",
    "envFrom": [{"configMapRef": {"name": "mailing"}}],
    "ports": [{"name": "http", "containerPort": 9000}],
    "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
    "startupProbe": {"httpGet": {"path": "/healthz", "port": "http"}},
    "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}},
    "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http"}},
    "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
    "securityContext": RESTRICTED,
}
POD = {
    "automountServiceAccountToken": False,
    "terminationGracePeriodSeconds": 20,
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "topologySpreadConstraints": [
        {"topologyKey": "topology.kubernetes.io/zone"},
        {"topologyKey": "kubernetes.io/hostname"},
    ],
    "containers": [CONTAINER],
    "volumes": [
        {
            "name": "secrets",
            "projected": {
                "sources": [{"secret": {"name": "mailing-provider", "items": [{"key": "token", "path": "t"}]}}]
            },
        }
    ],
}


def made(kind: str, name: str, spec: Object | None = None, **fields: Object) -> Object:
    metadata = {"name": name, "namespace": "mailing", "labels": dict(LABELS)}
    return {"kind": kind, "metadata": metadata, "spec": spec or {}, **fields}


def good() -> dict[str, Object]:
    """Objects that fit together, by kind."""
    selector = {"matchLabels": LABELS}
    workload = {"selector": selector, "template": {"metadata": {"labels": LABELS}, "spec": POD}}
    namespace = made("Namespace", "mailing")
    namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "restricted"
    backend = {"service": {"name": "sender", "port": {"name": "http"}}}
    triggers = [{"metadata": {"query": 'sum(mailing_due_messages{namespace="mailing"})'}}]
    scaler = {"scaleTargetRef": {"name": "sender"}, "minReplicaCount": 1, "triggers": triggers}
    objects = [
        namespace,
        made("ConfigMap", "mailing", data={"MAILING_LOG_LEVEL": "info", "MAILING_HOSTS": "api,mailing.test"}),
        made("Deployment", "sender", workload),
        made(
            "Service",
            "sender",
            {"selector": LABELS, "ports": [{"name": "http", "port": 9000, "targetPort": "http"}]},
        ),
        made("PodDisruptionBudget", "sender", {"selector": selector, "maxUnavailable": 1}),
        made("NetworkPolicy", "all", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
        made("ScaledObject", "sender", scaler),
        made("ServiceMonitor", "mailing", {"selector": selector, "endpoints": [{"port": "http"}]}),
        made(
            "HTTPRoute",
            "mailing",
            {"hostnames": ["mailing.test"], "rules": [{"backendRefs": [{"name": "sender", "port": 9000}]}]},
        ),
        made("Ingress", "mailing", {"rules": [{"http": {"paths": [{"path": "/api", "backend": backend}]}}]}),
    ]
    return {one["kind"]: copy.deepcopy(one) for one in objects}


def pod(objects: dict[str, Object]) -> Object:
    found: Object = objects["Deployment"]["spec"]["template"]["spec"]
    return found


def container(objects: dict[str, Object]) -> Object:
    found: Object = pod(objects)["containers"][0]
    return found


def context(objects: dict[str, Object]) -> Object:
    found: Object = container(objects)["securityContext"]
    return found


def spec(kind: str, objects: dict[str, Object]) -> Object:
    found: Object = objects[kind]["spec"]
    return found


def rabbitmq(template: Object) -> Object:
    return made(
        "RabbitmqCluster", "broker", {"override": {"statefulSet": {"spec": {"template": {"spec": template}}}}}
    )


def found(objects: dict[str, Object]) -> list[str]:
    return list(violations(Overlay("test", list(objects.values()), SECRETS)))


def test_a_good_overlay_breaks_no_rule() -> None:
    assert found(good()) == []


BROKEN: list[tuple[str, Change]] = [
    ("hostNetwork is not allowed", lambda o: pod(o).update(hostNetwork=True)),
    ("hostPath is not allowed", lambda o: pod(o)["volumes"].append({"name": "host", "hostPath": {}})),
    ("may run as root", lambda o: pod(o)["securityContext"].pop("runAsNonRoot")),
    ("may run as root", lambda o: context(o).update(runAsUser=0)),
    ("has no seccomp profile", lambda o: context(o).update(seccompProfile={"type": "Unconfined"})),
    ("may gain privileges", lambda o: context(o).pop("allowPrivilegeEscalation")),
    ("may gain privileges", lambda o: context(o).update(privileged=True)),
    ("has capabilities", lambda o: context(o).update(capabilities={"drop": ["ALL"], "add": ["SYS_PTRACE"]})),
    ("has capabilities", lambda o: context(o).update(capabilities={})),
    ("takes a port of the host", lambda o: container(o)["ports"][0].update(hostPort=80)),
    ("has a token for the cluster's API", lambda o: pod(o).pop("automountServiceAccountToken")),
    ("its file system can be written", lambda o: context(o).update(readOnlyRootFilesystem=False)),
    ("names no release", lambda o: container(o).update(image="mailing-service:latest")),
    ("no requests.cpu", lambda o: container(o)["resources"].update(requests={"memory": "1Gi"})),
    ("no limits.memory", lambda o: container(o)["resources"].pop("limits")),
    ("no startupProbe", lambda o: container(o).pop("startupProbe")),
    ("no readinessProbe", lambda o: container(o).pop("readinessProbe")),
    ("no livenessProbe", lambda o: container(o).pop("livenessProbe")),
    (
        "liveness and readiness are the same probe",
        lambda o: container(o).update(livenessProbe=container(o)["readinessProbe"]),
    ),
    ("needs 20 s to end", lambda o: pod(o).update(terminationGracePeriodSeconds=19)),
    ("is not spread over kubernetes.io/hostname", lambda o: pod(o)["topologySpreadConstraints"].pop()),
    ("TOKEN has a secret's value", lambda o: container(o).update(env=[{"name": "TOKEN", "value": "x"}])),
    ("URL has a secret's value", lambda o: o["ConfigMap"]["data"].update(URL="amqp://me:mine@broker/")),
    ("a Secret is created in the cluster", lambda o: o.update(Secret=made("Secret", "provider"))),
    ("does not enforce the restricted", lambda o: o["Namespace"]["metadata"].update(labels={})),
    ("MAILING_HOSTS does not name other.test", lambda o: spec("HTTPRoute", o).update(hostnames=["other.test"])),
    (
        "MAILING_HOSTS does not name the Service api",
        lambda o: o["ConfigMap"]["data"].update(MAILING_HOSTS="mailing.test"),
    ),
    ("there is no ConfigMap mailing", lambda o: o.pop("ConfigMap")),
    (
        "nothing creates the key",
        lambda o: pod(o)["volumes"][0]["projected"]["sources"][0]["secret"].update(name="other"),
    ),
    ("Service/sender: selects no pod", lambda o: spec("Service", o).update(selector={"app": "other"})),
    ("has no port other", lambda o: spec("Service", o)["ports"][0].update(targetPort="other")),
    (
        "HTTPRoute/mailing: there is no",
        lambda o: spec("HTTPRoute", o)["rules"][0]["backendRefs"][0].update(port=1),
    ),
    (
        "Ingress/mailing: there is no",
        lambda o: spec("Ingress", o)["rules"][0]["http"]["paths"][0]["backend"]["service"].update(name="other"),
    ),
    ("has 0 PodDisruptionBudgets", lambda o: o.pop("PodDisruptionBudget")),
    ("allows no node to be drained", lambda o: spec("PodDisruptionBudget", o).update(maxUnavailable=0)),
    ("no NetworkPolicy for Egress", lambda o: spec("NetworkPolicy", o).update(policyTypes=["Ingress"])),
    (
        "no NetworkPolicy for Ingress",
        lambda o: spec("NetworkPolicy", o).update(podSelector={"matchLabels": {"a": "b"}}),
    ),
    ("there is no Deployment other", lambda o: spec("ScaledObject", o).update(scaleTargetRef={"name": "other"})),
    ("has a fixed number of replicas", lambda o: spec("Deployment", o).update(replicas=2)),
    ("may scale to zero", lambda o: spec("ScaledObject", o).update(minReplicaCount=0)),
    (
        "does not look at the namespace other",
        lambda o: o["ScaledObject"]["metadata"].update(namespace="other"),
    ),
    ("has a port other", lambda o: spec("ServiceMonitor", o).update(endpoints=[{"port": "other"}])),
    (
        "container setup-container may gain privileges",
        lambda o: o.update(
            RabbitmqCluster=rabbitmq({"containers": [{"name": "rabbitmq", "securityContext": RESTRICTED}]})
        ),
    ),
]


@pytest.mark.parametrize(("sentence", "change"), BROKEN, ids=[sentence for sentence, _ in BROKEN])
def test_an_overlay_that_breaks_a_rule_is_found(sentence: str, change: Change) -> None:
    objects = good()
    change(objects)
    assert [line for line in found(objects) if sentence in line], found(objects)


def test_a_policy_for_some_components_concerns_no_other() -> None:
    objects = good()
    expression = {"key": "app.kubernetes.io/component", "operator": "In", "values": ["sender"]}
    spec("NetworkPolicy", objects).update(podSelector={"matchExpressions": [expression]})
    assert found(objects) == []
    expression["values"] = ["api"]
    assert len(found(objects)) == 2


def test_secrets_that_operators_make_are_known() -> None:
    objects = good()
    source = pod(objects)["volumes"][0]["projected"]["sources"][0]["secret"]
    source.update(name="database-app", items=[{"key": "uri", "path": "mailing_database_url"}])
    assert found(objects)
    objects["Cluster"] = made("Cluster", "database")
    assert found(objects) == []


def test_an_image_of_another_release_is_found() -> None:
    overlay = Overlay("test", list(good().values()), SECRETS)
    assert list(release_problems(overlay, "1.2.3")) == []
    assert list(release_problems(overlay, "1.2.4")) != []


@pytest.mark.parametrize("image", ["postgres:18.6", "host:5000/a/b:1.0", "a@sha256:0f"])
def test_an_image_with_a_release_is_pinned(image: str) -> None:
    assert is_pinned_image(image)


@pytest.mark.parametrize(
    "image", ["postgres", "host:5000/a/b", "postgres:latest", "postgres:latest-2", "postgres:stable"]
)
def test_an_image_without_a_release_is_not_pinned(image: str) -> None:
    assert not is_pinned_image(image)
