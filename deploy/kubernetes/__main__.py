"""`python -m deploy.kubernetes`: render every overlay, and hold it against schemas and rules, without a cluster.

`alerts` writes the alerts for the Prometheus operator instead.
"""

import argparse
import sys

from deploy.kubernetes.manifests import title
from deploy.kubernetes.policies import release_problems, violations
from deploy.kubernetes.rendering import RULES, overlays, prometheus_rule, render
from shared import __version__


def check() -> int:
    """Print every problem and the line that counts them; return the exit status."""
    from deploy.kubernetes.schemas import problems  # needs an environment of its own; `alerts` does not

    rendered = [render(folder) for folder in overlays()]
    invalid = broken = 0
    for overlay in rendered:
        for manifest in overlay.manifests:
            found = list(problems(manifest))
            invalid += bool(found)
            for problem in found:
                print(f"{overlay.name}: {title(manifest)} is invalid: {problem}")
        for sentence in [*violations(overlay), *release_problems(overlay, __version__)]:
            broken += 1
            print(f"{overlay.name}: {sentence}")
    if RULES.read_text() != prometheus_rule():
        broken += 1
        print(f"{RULES.name} is not made of deploy/prometheus/alerts.yml: make kubernetes-alerts")
    objects = sum(len(overlay.manifests) for overlay in rendered)
    print(f"kubernetes: overlays={len(rendered)} objects={objects} invalid={invalid} policy_violations={broken}")
    return int(bool(invalid or broken or not objects))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.kubernetes", description="Check the manifests for Kubernetes without a cluster."
    )
    parser.add_argument("--version", action="version", version=f"mailing {__version__}")
    parser.add_argument(
        "alerts", nargs="?", choices=["alerts"], help="write the Prometheus operator's alerts instead"
    )
    if parser.parse_args().alerts:
        RULES.write_text(prometheus_rule())
    else:
        sys.exit(check())


if __name__ == "__main__":
    main()
