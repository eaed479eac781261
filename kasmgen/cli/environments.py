"""Commands about environments: env add, list, show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kasmgen.cli import early_start
from kasmgen.cli import output as cli_output
from kasmgen.cli.options import Group, changing, common, complete_environment, output_option
from kasmgen.cli.output import OutputSettings
from kasmgen.errors import InputError

if TYPE_CHECKING:
    from kasmgen.commands.change import Options
    from kasmgen.commands.env_show import ShownCertificate
    from kasmgen.kubernetes.resources import Secret

commands = Group()


@commands.group()
def env() -> None:
    """Environments: add one, list them, show one.

    \b
    Examples:
      kasmgen env add prod --hostname kasm.example.com --size large
      kasmgen env list
    """


@env.command("add")
@click.argument("name")
@click.option("--hostname", required=True, help="Host name that people open in the browser.")
@click.option("--alt-hostname", "alt_hostnames", multiple=True, metavar="HOST", help="Another host name.")
@click.option("--ingress-ip", default="", metavar="IP", help="Address to put into the certificate.")
@click.option("--namespace", default="", help="Namespace, if not the project's.")
@click.option("--cluster-domain", default="", metavar="DOMAIN", help="DNS suffix of the cluster [cluster.local].")
@click.option("--size", default="", metavar="small|medium|large", help="Replicas, resources and settings.")
@click.option(
    "--values",
    "value_files",
    multiple=True,
    metavar="FILE",
    help="Values of the chart; an upstream values.yaml works as it is. Secrets in it are sealed.",
)
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="One value, as in helm --set.")
@click.option("--plain", multiple=True, metavar="PATH", help="A value that looks like a secret and is none.")
@click.option("--recipient", "recipients", multiple=True, metavar="AGE", help="Public key of who may decrypt.")
@click.option("--registry-server", default="", metavar="SERVER", help="Registry that images are pulled from.")
@click.option("--registry-username", default="", metavar="USER", help="User of that registry.")
@click.option("--registry-email", default="", metavar="EMAIL", help="E-mail for that registry, if it wants one.")
@click.option("--registry-password-file", default="", metavar="FILE", help="Its password; - is standard input.")
@click.option("--password-file", default="", metavar="FILE", help="YAML of key: value with your own passwords.")
@click.option("--flux-source", default="", metavar="NAME", help="GitRepository that Flux reads [flux-system].")
@click.option("--git-url", default="", metavar="URL", help="Also write a GitRepository for this address.")
@changing
@output_option
@common
@click.pass_obj
def env_add(
    settings: OutputSettings,
    options: Options,
    name: str,
    hostname: str,
    alt_hostnames: Sequence[str],
    ingress_ip: str,
    namespace: str,
    cluster_domain: str,
    size: str,
    value_files: Sequence[str],
    sets: Sequence[str],
    plain: Sequence[str],
    recipients: Sequence[str],
    registry_server: str,
    registry_username: str,
    registry_email: str,
    registry_password_file: str,
    password_file: str,
    flux_source: str,
    git_url: str,
    output: str,
) -> None:
    """Add the environment NAME: overlay, sealed Secrets and Flux objects in one commit.

    Passwords and certificates are made once, here, and sealed for the
    recipients. Nothing secret is written in clear.

    \b
    Examples:
      kasmgen env add prod --hostname kasm.example.com
      kasmgen env add lab --hostname kasm.lab.example.com --size small --values values.yaml
      pass show registry | kasmgen env add prod --hostname kasm.example.com \\
        --registry-username ci --registry-password-file -
    """
    helm = early_start.helm()
    from kasmgen.commands.env_add import AddRequest, run
    from kasmgen.project.config import Environment, FluxInput

    request = AddRequest(
        environment=Environment(
            name=name,
            hostname=hostname,
            alt_hostnames=tuple(alt_hostnames),
            ingress_ip=ingress_ip,
            namespace=namespace,
            cluster_domain=cluster_domain,
            size=size,
            flux=FluxInput(source=flux_source, url=git_url),
            plain=tuple(dict.fromkeys(plain)),
        ),
        value_files=value_files,
        sets=sets,
        recipients=recipients,
        registry=_registry(registry_server, registry_username, registry_email, registry_password_file),
        password_file=password_file,
    )
    cli_output.outcome(settings, run(Path(settings.directory), request, options, helm), output)


def _registry(server: str, username: str, email: str, password_file: str) -> dict[str, Secret] | None:
    if not (server or username or email or password_file):
        return None
    from kasmgen.chart import supplied_values
    from kasmgen.kubernetes.resources import Secret

    if not username:
        raise InputError("--registry-username is missing", hint="a registry login needs a user and a password file")
    if not password_file:
        raise InputError("--registry-password-file is missing", hint="name a file, or - for standard input")
    text = supplied_values.read_text(password_file, "--registry-password-file")
    login = {"username": Secret(username), "password": Secret(text.rstrip("\r\n"))}
    login |= {"registry": Secret(server)} if server else {}
    login |= {"email": Secret(email)} if email else {}
    return login


@env.command("list")
@output_option
@common
@click.pass_obj
def env_list(settings: OutputSettings, output: str) -> None:
    """List the environments.

    \b
    Examples:
      kasmgen env list
      kasmgen env list --output json
    """
    from kasmgen.commands.env_show import run

    shown = run(Path(settings.directory), ())
    if output == "json":
        cli_output.out_records(shown)
        return
    if not shown:
        cli_output.say(settings, "no environments yet; add one: kasmgen env add prod --hostname kasm.example.com")
        return
    rows = [
        (item.name, item.hostname, item.namespace, item.chart, _soonest(item.certificates), str(len(item.recipients)))
        for item in shown
    ]
    cli_output.table(settings, ("NAME", "HOSTNAME", "NAMESPACE", "CHART", "CERTIFICATES", "RECIPIENTS"), rows)


def _soonest(certificates: Sequence[ShownCertificate]) -> str:
    days = [item.days_left for item in certificates if item.days_left is not None]
    return "-" if not days else _days(min(days))


def _days(left: int | None) -> str:
    if left is None:
        return "?"
    return f"expired {-left} days ago" if left < 0 else f"{left} days left"


@env.command("show")
@click.argument("name", shell_complete=complete_environment)
@output_option
@common
@click.pass_obj
def env_show(settings: OutputSettings, name: str, output: str) -> None:
    """Show one environment: certificates, recipients, Flux object, and what stays manual.

    \b
    Examples:
      kasmgen env show prod
      kasmgen env show prod --output json
    """
    from kasmgen.commands.env_show import run

    item = run(Path(settings.directory), (name,))[0]
    if output == "json":
        cli_output.out_records(item)
        return
    cli_output.facts(
        {
            "environment": [item.name],
            "hostname": [item.hostname, *item.alt_hostnames],
            "namespace": [item.namespace],
            "chart": [item.chart],
            "size": [item.size or "as the chart has it"],
            "certificates": [
                f"{c.secret}: {', '.join(c.names)} until {c.not_after} ({_days(c.days_left)})"
                for c in item.certificates
            ],
            "sealed": list(item.secrets),
            "recipients": list(item.recipients),
            "flux": [item.flux],
            "upstream auth": [item.upstream_auth or "-"],
            "by hand": [f"{number}. {step}" for number, step in enumerate(item.manual_steps, 1)],
        }
    )
