"""Rules for each pod. A rule yields one sentence for each violation."""

import re
from collections.abc import Iterator, Mapping

from deploy.kubernetes.manifests import Manifest, Pod

# Services end within 10 s of SIGTERM (ARCHITECTURE.md). A busy machine gets half as much again.
SHUTDOWN_SECONDS = 15

RESTRICTED_VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)
_SECRET_NAME = re.compile(r"PASS|TOKEN|SECRET|CREDENTIAL|PRIVATE|(^|_)KEY($|_)", re.IGNORECASE)
_URL_WITH_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@")


def restricted_standard(pod: Pod) -> Iterator[str]:
    """Check the pod security standard "restricted"."""
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.spec.get(name):
            yield f"{name} is not allowed"
    for volume in pod.spec.get("volumes", []):
        for kind in volume.keys() - {"name"} - RESTRICTED_VOLUMES:
            yield f"volume {volume['name']}: {kind} is not allowed"
    for container in pod.containers():
        for problem in restriction_problems(pod.spec.get("securityContext", {}), container):
            yield f"container {container['name']}: {problem}"


def restriction_problems(of_pod: Manifest, container: Manifest) -> Iterator[str]:
    """Yield what violates the restricted standard. A container's security context overrides the pod's."""
    own = container.get("securityContext", {})
    context = {**of_pod, **own}
    if context.get("runAsNonRoot") is not True or context.get("runAsUser") == 0:
        yield "may run as root"
    if context.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"}:
        yield "has no seccomp profile"
    if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
        yield "may gain privileges"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []) or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield "has capabilities"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "takes a port of the host"


def no_cluster_rights(pod: Pod) -> Iterator[str]:
    """Require a read-only file system and no token for the cluster's API."""
    if pod.spec.get("automountServiceAccountToken") is not False:
        yield "has a token for the cluster's API"
    for container in pod.containers():
        if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
            yield f"container {container['name']}: its file system can be written"


def pinned_images(pod: Pod) -> Iterator[str]:
    """Require an image tag that names a release, or a digest."""
    for container in pod.containers():
        if not is_pinned_image(container["image"]):
            yield f"container {container['name']}: image {container['image']} names no release"


def is_pinned_image(image: str) -> bool:
    """True for a digest, or a tag that is a version."""
    _, _, tag = image.rpartition("/")[2].partition(":")
    return "@sha256:" in image or (any(map(str.isdigit, tag)) and not tag.startswith("latest"))


def resource_limits(pod: Pod) -> Iterator[str]:
    """Require requests for CPU and memory, and a limit for memory.

    A limit for CPU is not required. It stops an event loop for tenths of a second, so slots are missed.
    """
    for container in pod.containers():
        resources = container.get("resources", {})
        for kind, name in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
            if name not in resources.get(kind, {}):
                yield f"container {container['name']}: no {kind}.{name}"


def probes(pod: Pod) -> Iterator[str]:
    """Require all three probes, and a liveness probe that differs from the readiness probe."""
    if pod.kind == "Job":
        return
    for container in pod.spec["containers"]:
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            if name not in container:
                yield f"container {container['name']}: no {name}"
        if _handler(container.get("livenessProbe", {})) == _handler(container.get("readinessProbe", {})):
            yield f"container {container['name']}: liveness and readiness are the same probe"


def _handler(probe: Manifest) -> dict[str, object]:
    return {name: probe[name] for name in ("httpGet", "tcpSocket", "exec", "grpc") if name in probe}


def grace_period(pod: Pod) -> Iterator[str]:
    """Require a grace period for the pause in `preStop` and the service's own shutdown."""
    if not pod.is_service:
        return
    for container in pod.spec["containers"]:
        pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        needed = pause + SHUTDOWN_SECONDS
        if pod.spec.get("terminationGracePeriodSeconds", 30) < needed:
            yield f"container {container['name']}: needs {needed} s to end"


def topology_spread(pod: Pod) -> Iterator[str]:
    """Require that a service's pods spread over zones and hosts."""
    if pod.is_service:
        spread = {one["topologyKey"] for one in pod.spec.get("topologySpreadConstraints", [])}
        for key in sorted({"topology.kubernetes.io/zone", "kubernetes.io/hostname"} - spread):
            yield f"is not spread over {key}"


def no_secret_values(pod: Pod) -> Iterator[str]:
    """Forbid environment variables with a secret as a literal value."""
    for container in pod.containers():
        values = {
            variable["name"]: variable["value"] for variable in container.get("env", []) if "value" in variable
        }
        for name in secret_names(values):
            yield f"container {container['name']}: {name} has a secret's value"


def secret_names(values: Mapping[str, str]) -> list[str]:
    """Return the names of values that look like a secret, or contain one."""
    return [
        name for name, value in values.items() if _SECRET_NAME.search(name) or _URL_WITH_PASSWORD.search(value)
    ]


POD_RULES = (
    restricted_standard,
    no_cluster_rights,
    pinned_images,
    resource_limits,
    probes,
    grace_period,
    topology_spread,
    no_secret_values,
)
