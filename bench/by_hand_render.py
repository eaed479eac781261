"""The step of `by_hand.sh` that renders: `by_hand_render.py CHART HOSTNAME NAMESPACE` prints the manifests."""

from __future__ import annotations

import sys

import helm_python


def main(chart: str, hostname: str, namespace: str) -> None:
    """Render with Secrets left to the repository, as somebody does who seals them by hand."""
    values = {
        "global": {
            "hostname": hostname,
            "namespace": namespace,
            "kasmPasswords": {"existingSecret": "kasm-secrets"},
        },
        "kasmApp": {"deploymentSize": "medium"},
        "kasmCerts": {name: {"create": False} for name in ("ingress", "kasmProxy", "rdpGateway", "db")},
    }
    rendered = helm_python.Chart.load(chart).render(values, name="kasm", namespace=namespace)
    for path, text in rendered.items():
        if text.strip() and not path.endswith(("NOTES.txt", ".tpl")):
            sys.stdout.write(f"---\n{text}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
