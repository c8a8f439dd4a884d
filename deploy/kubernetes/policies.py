"""All rules, applied to an overlay."""

from collections.abc import Iterator

from deploy.kubernetes.manifests import Overlay
from deploy.kubernetes.overlay_rules import OVERLAY_RULES
from deploy.kubernetes.pod_rules import POD_RULES


def violations(overlay: Overlay) -> Iterator[str]:
    """Yield a line for each violation in an overlay."""
    for rule in OVERLAY_RULES:
        yield from rule(overlay)
    for pod in overlay.pods():
        for pod_rule in POD_RULES:
            for sentence in pod_rule(pod):
                yield f"{pod.title}: {sentence}"


def release_problems(overlay: Overlay, version: str) -> Iterator[str]:
    """Yield a line for each of our images that is not of this release."""
    for pod in overlay.pods():
        for container in pod.containers():
            image = container["image"]
            if "mailing-service" in image and not image.endswith(f":{version}"):
                yield f"{pod.title}: {image} is not of this release, {version}"
