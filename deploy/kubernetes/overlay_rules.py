"""Rules for an overlay as a whole: its objects fit together. A rule yields one sentence for each violation."""

from collections.abc import Iterator

from deploy.kubernetes.manifests import Manifest, Overlay, Pod, selects, title
from deploy.kubernetes.pod_rules import restriction_problems, secret_names

# Keys of the Secrets that the operators create, from their documentation.
_DATABASE_KEYS = frozenset({"uri", "username", "password", "host", "port", "dbname"})
_BROKER_KEYS = frozenset({"connection_string", "username", "password", "host", "port"})


def no_secrets_in_files(overlay: Overlay) -> Iterator[str]:
    """Forbid Secrets in files, and secret values in ConfigMaps."""
    for manifest in overlay.of_kind("Secret"):
        yield f"{title(manifest)}: a Secret is created in the cluster, never from a file"
    for manifest in overlay.of_kind("ConfigMap"):
        for name in secret_names(manifest.get("data", {})):
            yield f"{title(manifest)}: {name} has a secret's value"


def enforced_standard(overlay: Overlay) -> Iterator[str]:
    """Require a namespace that admits restricted pods only."""
    for manifest in overlay.of_kind("Namespace"):
        if manifest["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"{title(manifest)}: does not enforce the restricted pod security standard"


def restricted_rabbitmq(overlay: Overlay) -> Iterator[str]:
    """Check our override of RabbitMQ's pods. The operator alone does not restrict them."""
    for manifest in overlay.of_kind("RabbitmqCluster"):
        override = manifest["spec"].get("override", {}).get("statefulSet", {})
        spec = override.get("spec", {}).get("template", {}).get("spec", {})
        named = {one["name"]: one for one in [*spec.get("containers", []), *spec.get("initContainers", [])]}
        for name in ("rabbitmq", "setup-container"):
            for problem in restriction_problems(spec.get("securityContext", {}), named.get(name, {})):
                yield f"{title(manifest)}: container {name} {problem}"


def known_config_maps(overlay: Overlay) -> Iterator[str]:
    """Require every ConfigMap that a pod refers to."""
    known = {manifest["metadata"]["name"] for manifest in overlay.of_kind("ConfigMap")}
    for pod in overlay.pods():
        for container in pod.containers():
            for source in container.get("envFrom", []):
                name = source.get("configMapRef", {}).get("name")
                if name not in known:
                    yield f"{pod.title}: there is no ConfigMap {name}"


def known_secrets(overlay: Overlay) -> Iterator[str]:
    """Require a source for every key of a Secret that an object refers to, unless it is optional."""
    made = dict(overlay.secrets)
    made |= {f"{one['metadata']['name']}-app": _DATABASE_KEYS for one in overlay.of_kind("Cluster")}
    made |= {f"{one['metadata']['name']}-default-user": _BROKER_KEYS for one in overlay.of_kind("RabbitmqCluster")}
    for one in overlay.of_kind("ExternalSecret"):
        keys = frozenset(part["secretKey"] for part in one["spec"]["data"])
        made[one["spec"]["target"]["name"]] = keys
    for user, name, key in _used_secrets(overlay):
        if key not in made.get(name, frozenset()):
            yield f"{user}: nothing creates the key {key} of the Secret {name}"


def _used_secrets(overlay: Overlay) -> Iterator[tuple[str, str, str]]:
    for pod in overlay.pods():
        for volume in pod.spec.get("volumes", []):
            for source in volume.get("projected", {}).get("sources", []):
                secret = source.get("secret", {})
                if not secret.get("optional"):
                    for item in secret.get("items", []):
                        yield pod.title, secret["name"], item["key"]
        for container in pod.containers():
            for variable in container.get("env", []):
                if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                    yield pod.title, reference["name"], reference["key"]
    for store in overlay.of_kind("ObjectStore"):
        for reference in store["spec"]["configuration"].get("s3Credentials", {}).values():
            yield title(store), reference["name"], reference["key"]


def service_targets(overlay: Overlay) -> Iterator[str]:
    """Require that every Service selects a pod, and names one of its ports."""
    pods = list(overlay.pods())
    for service in overlay.of_kind("Service"):
        chosen = [pod for pod in pods if selects({"matchLabels": service["spec"]["selector"]}, pod.labels)]
        if not chosen:
            yield f"{title(service)}: selects no pod"
        for port in service["spec"]["ports"]:
            for pod in chosen:
                if port["targetPort"] not in _ports(pod):
                    yield f"{title(service)}: {pod.title} has no port {port['targetPort']}"


def _ports(pod: Pod) -> set[str]:
    return {port["name"] for container in pod.containers() for port in container.get("ports", [])}


def route_targets(overlay: Overlay) -> Iterator[str]:
    """Require that every route and Ingress leads to a Service and one of its ports."""
    services = {one["metadata"]["name"]: one["spec"]["ports"] for one in overlay.of_kind("Service")}
    for way, name, port in _backends(overlay):
        if port not in {value for known in services.get(name, []) for value in (known["name"], known["port"])}:
            yield f"{way}: there is no Service {name} with port {port}"


def _backends(overlay: Overlay) -> Iterator[tuple[str, str, str | int]]:
    for route in overlay.of_kind("HTTPRoute"):
        for rule in route["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                yield title(route), backend["name"], backend["port"]
    for ingress in overlay.of_kind("Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                yield title(ingress), service["name"], service["port"].get("name", service["port"].get("number"))


def known_hosts(overlay: Overlay) -> Iterator[str]:
    """Require that API and console know the host names that lead to them; others are answered 421."""
    known = {
        name
        for manifest in overlay.of_kind("ConfigMap")
        for name in manifest.get("data", {}).get("MAILING_HOSTS", "").split(",")
    }
    for way, name in _host_names(overlay):
        if name not in known:
            yield f"{way}: MAILING_HOSTS does not name {name}"
    if "api" not in known:
        yield "MAILING_HOSTS does not name the Service api, which the console calls"


def _host_names(overlay: Overlay) -> Iterator[tuple[str, str]]:
    for route in overlay.of_kind("HTTPRoute"):
        for name in route["spec"].get("hostnames", []):
            yield title(route), name
    for ingress in overlay.of_kind("Ingress"):
        for rule in ingress["spec"]["rules"]:
            if "host" in rule:
                yield title(ingress), rule["host"]


def disruption_budgets(overlay: Overlay) -> Iterator[str]:
    """Require a PodDisruptionBudget for every Deployment, and that it allows a node to be drained."""
    budgets = overlay.of_kind("PodDisruptionBudget")
    for pod in overlay.pods():
        if pod.kind == "Deployment":
            chosen = [one for one in budgets if selects(one["spec"]["selector"], pod.labels)]
            if len(chosen) != 1:
                yield f"{pod.title}: has {len(chosen)} PodDisruptionBudgets"
    for budget in budgets:
        if budget["spec"].get("maxUnavailable", 0) in (0, "0%"):
            yield f"{title(budget)}: allows no node to be drained"


def network_policies(overlay: Overlay) -> Iterator[str]:
    """Require a NetworkPolicy for every pod in both directions."""
    policies = overlay.of_kind("NetworkPolicy")
    for pod in overlay.pods():
        chosen = [one["spec"] for one in policies if selects(one["spec"]["podSelector"], pod.labels)]
        for direction in ("Ingress", "Egress"):
            if not any(direction in spec["policyTypes"] for spec in chosen):
                yield f"{pod.title}: no NetworkPolicy for {direction}"


def autoscaling(overlay: Overlay) -> Iterator[str]:
    """Require a target without a fixed number of replicas, never zero of it, and queries for the namespace."""
    targets = {one["metadata"]["name"]: one for one in overlay.of_kind("Deployment")}
    for scaler in overlay.of_kind("ScaledObject"):
        name = scaler["spec"]["scaleTargetRef"]["name"]
        if name not in targets:
            yield f"{title(scaler)}: there is no Deployment {name}"
        elif "replicas" in targets[name]["spec"]:
            yield f"{title(scaler)}: the Deployment {name} has a fixed number of replicas"
        if scaler["spec"].get("minReplicaCount", 0) < 1 or scaler["spec"].get("idleReplicaCount") == 0:
            yield f"{title(scaler)}: may scale to zero, and without a sender nothing is released"
        namespace = scaler["metadata"].get("namespace")
        for trigger in scaler["spec"].get("triggers", []):
            if f'namespace="{namespace}"' not in trigger["metadata"]["query"]:
                yield f"{title(scaler)}: a query does not look at the namespace {namespace}"


def scraped_ports(overlay: Overlay) -> Iterator[str]:
    """Require that every port of a ServiceMonitor belongs to a Service that it selects."""
    services = overlay.of_kind("Service")
    for monitor in overlay.of_kind("ServiceMonitor"):
        chosen = [one for one in services if selects(monitor["spec"]["selector"], _labels(one))]
        ports = {port["name"] for one in chosen for port in one["spec"]["ports"]}
        for endpoint in monitor["spec"]["endpoints"]:
            if endpoint["port"] not in ports and not overlay.of_kind("RabbitmqCluster"):
                yield f"{title(monitor)}: no Service that it selects has a port {endpoint['port']}"


def _labels(manifest: Manifest) -> dict[str, str]:
    return dict(manifest["metadata"].get("labels", {}))


OVERLAY_RULES = (
    no_secrets_in_files,
    enforced_standard,
    restricted_rabbitmq,
    known_config_maps,
    known_secrets,
    service_targets,
    route_targets,
    known_hosts,
    disruption_budgets,
    network_policies,
    autoscaling,
    scraped_ports,
)
