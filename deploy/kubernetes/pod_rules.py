"""Rules for each pod. A rule yields a sentence for everything that breaks it."""

import re
from collections.abc import Iterator, Mapping

from deploy.kubernetes.manifests import Manifest, Pod

# Services end within 10 s of SIGTERM (ARCHITECTURE.md), on a machine that is not out of breath.
SHUTDOWN_SECONDS = 15

RESTRICTED_VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)
_SECRET_NAME = re.compile(r"PASS|TOKEN|SECRET|CREDENTIAL|PRIVATE|(^|_)KEY($|_)", re.IGNORECASE)
_URL_WITH_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@")


def is_restricted(pod: Pod) -> Iterator[str]:
    """The pod security standard "restricted"."""
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.spec.get(name):
            yield f"{name} is not allowed"
    for volume in pod.spec.get("volumes", []):
        for kind in volume.keys() - {"name"} - RESTRICTED_VOLUMES:
            yield f"volume {volume['name']}: {kind} is not allowed"
    for container in pod.containers():
        for problem in unrestricted(pod.spec.get("securityContext", {}), container):
            yield f"container {container['name']}: {problem}"


def unrestricted(of_pod: Manifest, container: Manifest) -> Iterator[str]:
    """Say what keeps a container from being restricted; its own security context comes before the pod's."""
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


def has_no_rights(pod: Pod) -> Iterator[str]:
    """Nothing to write on, and no token for the cluster's API."""
    if pod.spec.get("automountServiceAccountToken") is not False:
        yield "has a token for the cluster's API"
    for container in pod.containers():
        if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
            yield f"container {container['name']}: its file system can be written"


def is_pinned(pod: Pod) -> Iterator[str]:
    for container in pod.containers():
        if not is_pinned_image(container["image"]):
            yield f"container {container['name']}: image {container['image']} names no release"


def is_pinned_image(image: str) -> bool:
    """True for a digest, or a tag that is a version."""
    _, _, tag = image.rpartition("/")[2].partition(":")
    return "@sha256:" in image or (any(map(str.isdigit, tag)) and not tag.startswith("latest"))


def is_limited(pod: Pod) -> Iterator[str]:
    """Requests for CPU and memory, and a limit for memory.

    No limit for CPU is asked for: it stops an event loop for tenths of a second, and slots are missed.
    """
    for container in pod.containers():
        resources = container.get("resources", {})
        for kind, name in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
            if name not in resources.get(kind, {}):
                yield f"container {container['name']}: no {kind}.{name}"


def is_probed(pod: Pod) -> Iterator[str]:
    """All three probes, and a liveness probe that asks something else than the readiness probe."""
    if pod.kind == "Job":
        return
    for container in pod.spec["containers"]:
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            if name not in container:
                yield f"container {container['name']}: no {name}"
        if _question(container.get("livenessProbe", {})) == _question(container.get("readinessProbe", {})):
            yield f"container {container['name']}: liveness asks what readiness asks"


def _question(probe: Manifest) -> dict[str, object]:
    return {name: probe[name] for name in ("httpGet", "tcpSocket", "exec", "grpc") if name in probe}


def ends_in_time(pod: Pod) -> Iterator[str]:
    """The grace period is long enough for the service's own, after the pause in `preStop`."""
    if not pod.is_service:
        return
    for container in pod.spec["containers"]:
        pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        needed = pause + SHUTDOWN_SECONDS
        if pod.spec.get("terminationGracePeriodSeconds", 30) < needed:
            yield f"container {container['name']}: needs {needed} s to end"


def is_spread(pod: Pod) -> Iterator[str]:
    if pod.is_service:
        spread = {one["topologyKey"] for one in pod.spec.get("topologySpreadConstraints", [])}
        for key in sorted({"topology.kubernetes.io/zone", "kubernetes.io/hostname"} - spread):
            yield f"is not spread over {key}"


def tells_no_secret(pod: Pod) -> Iterator[str]:
    for container in pod.containers():
        values = {
            variable["name"]: variable["value"] for variable in container.get("env", []) if "value" in variable
        }
        for name in secrets_in(values):
            yield f"container {container['name']}: {name} has a secret's value"


def secrets_in(values: Mapping[str, str]) -> list[str]:
    """Return the names of values that are, or hold, a secret."""
    return [
        name for name, value in values.items() if _SECRET_NAME.search(name) or _URL_WITH_PASSWORD.search(value)
    ]


POD_RULES = (
    is_restricted,
    has_no_rights,
    is_pinned,
    is_limited,
    is_probed,
    ends_in_time,
    is_spread,
    tells_no_secret,
)
