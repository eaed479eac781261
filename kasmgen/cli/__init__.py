"""The command line: options in, results out, and the one place that catches errors and exits.

Commands are imported where they are called, so that `kasmgen --help` stays fast.
"""

from __future__ import annotations

import gc
import importlib
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kasmgen import __version__
from kasmgen.cli import output as cli_output
from kasmgen.cli.options import Group, changing, common, complete_environment, output_option
from kasmgen.cli.output import OutputSettings
from kasmgen.errors import AnswerIsNo, InputError, KasmgenError, ToolError

if TYPE_CHECKING:
    from kasmgen.commands.change import Options
    from kasmgen.kubernetes.resources import Secret
    from kasmgen.programs.libhelm import HelmLibrary

PROGRAM = "kasmgen"
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}

Function = Callable[..., Any]


def _helm() -> HelmLibrary:
    """libhelm, which loads while the command does, and ends with it: to be called before the command is imported."""
    from kasmgen.programs import libhelm

    return click.get_current_context().with_resource(libhelm.loading())


def _command(name: str) -> Any:
    return importlib.import_module(f"kasmgen.commands.{name}")


def _start(settings: OutputSettings) -> Path:
    return Path(settings.directory)


# --- commands ---------------------------------------------------------------------


@click.group(cls=Group, context_settings=CONTEXT)
@click.version_option(__version__, "--version", prog_name=PROGRAM)
@common
@click.pass_context
def cli(context: click.Context) -> None:
    """Kasm Workspaces for GitOps: from a Helm chart to a repository that Flux reconciles.

    \b
    Examples:
      kasmgen init --generate-key
      kasmgen env add prod --hostname kasm.example.com
      kasmgen render --check
    """
    context.ensure_object(OutputSettings)


@cli.command()
@click.argument("directory", metavar="[DIR]", default="", type=click.Path())
@click.option("--chart", default="builtin", show_default=True, metavar="builtin|DIR|FILE.tgz", help="The chart.")
@click.option("--release", default="kasm", show_default=True, help="Name of the Helm release.")
@click.option("--namespace", default="kasm", show_default=True, help="Namespace of environments without their own.")
@click.option("--values", "value_files", multiple=True, metavar="FILE", help="Values that all environments share.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="One shared value, as in helm --set.")
@click.option("--recipient", "recipients", multiple=True, metavar="AGE", help="Public key of who may decrypt.")
@click.option("--generate-key", is_flag=True, help="Make an age key and keep it where sops looks for it.")
@changing
@output_option
@common
@click.pass_obj
def init(
    settings: OutputSettings,
    directory: str,
    chart: str,
    release: str,
    namespace: str,
    value_files: Sequence[str],
    sets: Sequence[str],
    recipients: Sequence[str],
    generate_key: bool,
    options: Options,
    output: str,
) -> None:
    """Make a project: kasmgen.yaml, .sops.yaml and base/, committed to Git.

    Works in an empty directory, in an existing repository, and in any
    subdirectory of one. A second run in the same place changes nothing.

    \b
    Examples:
      kasmgen init --generate-key
      kasmgen init deploy/kasm --chart ./charts/kasm-single-zone --recipient age1...
    """
    helm = _helm()
    command = _command("init")
    request = command.InitRequest(
        directory=_start(settings) / directory,
        chart=_chart_path(settings, chart),
        release=release,
        namespace=namespace,
        value_files=value_files,
        sets=sets,
        recipients=recipients,
        generate_key=generate_key,
    )
    cli_output.outcome(settings, command.run(request, options, helm), output)


def _chart_path(settings: OutputSettings, chart: str) -> str:
    return chart if chart == "builtin" else str((_start(settings) / Path(chart).expanduser()).absolute())


@cli.group()
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
    /,
    registry_server: str,
    registry_username: str,
    registry_email: str,
    registry_password_file: str,
    options: Options,
    output: str,
    **fields: Any,
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
    helm = _helm()
    command = _command("env_add")
    registry = _registry(registry_server, registry_username, registry_email, registry_password_file)
    request = command.AddRequest(registry=registry, **fields)
    with cli_output.progress(settings, "environments", 1) as step:
        outcome = command.run(_start(settings), request, options, helm, step)
    cli_output.outcome(settings, outcome, output)


def _registry(server: str, username: str, email: str, password_file: str) -> dict[str, Secret] | None:
    if not (server or username or email or password_file):
        return None
    from kasmgen.kubernetes.resources import Secret

    if not username:
        raise InputError("--registry-username is missing", hint="a registry login needs a user and a password file")
    if not password_file:
        raise InputError("--registry-password-file is missing", hint="name a file, or - for standard input")
    text = _command("values_input").read_text(password_file, "--registry-password-file")
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
    shown = _command("env_show").run(_start(settings), ())
    if output == "json":
        cli_output.out_json(cli_output.camel_case([item.as_json() for item in shown]))
        return
    if not shown:
        cli_output.say(settings, "no environments yet; add one: kasmgen env add prod --hostname kasm.example.com")
        return
    rows = [
        (item.name, item.hostname, item.namespace, item.chart, _soonest(item.certificates), str(len(item.recipients)))
        for item in shown
    ]
    cli_output.table(settings, ("NAME", "HOSTNAME", "NAMESPACE", "CHART", "CERTIFICATES", "RECIPIENTS"), rows)


def _soonest(certificates: Sequence[Any]) -> str:
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
    item = _command("env_show").run(_start(settings), (name,))[0]
    if output == "json":
        cli_output.out_json(cli_output.camel_case(item.as_json()))
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


@cli.command()
@click.argument("environments", nargs=-1, metavar="[ENV]...", shell_complete=complete_environment)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 and list the files that are stale.")
@click.option("--accept-chart", is_flag=True, help="Take a chart whose content is not the recorded one.")
@changing
@output_option
@common
@click.pass_obj
def render(
    settings: OutputSettings,
    environments: Sequence[str],
    check: bool,
    accept_chart: bool,
    options: Options,
    output: str,
) -> None:
    """Bring base, overlays and cluster objects in line with the inputs.

    Secrets that exist are kept. Nothing to change means no commit.

    \b
    Examples:
      kasmgen render
      kasmgen render prod --dry-run
      kasmgen render --check
    """
    helm = _helm()
    command = _command("render")
    start = _start(settings)
    total = len(environments) or _count_environments(start)
    with cli_output.progress(settings, "environments", total) as step:
        outcome = command.run(start, environments, options, helm, check=check, accept_chart=accept_chart, progress=step)
    cli_output.outcome(settings, outcome, output)
    if outcome.answer_is_no:
        raise AnswerIsNo("the repository is stale", hint="run `kasmgen render` and commit what it changes")


@cli.command()
@click.argument("environments", nargs=-1, metavar="[ENV]...", shell_complete=complete_environment)
@click.option("--staged", is_flag=True, help="Only the secret rules, on what is staged: for a pre-commit hook.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "sarif", "junit", "github"]),
    default="text",
    show_default=True,
    help="How to print the findings.",
)
@click.option("--strict", is_flag=True, help="Exit 1 for warnings, too.")
@click.option(
    "--days",
    default=30,
    show_default=True,
    metavar="N",
    type=click.IntRange(0),
    help="Warn of certificates that expire within N days.",
)
@click.option("--kubernetes-version", default="", metavar="V", help="Validate against Kubernetes V [newest known].")
@click.option(
    "--base", default="", metavar="REV", help="Look for dangerous changes since REV [merge base with upstream]."
)
@click.option("--no-schemas", is_flag=True, help="Do not validate objects.")
@click.option("--no-history", is_flag=True, help="Do not compare with an earlier revision.")
@click.option("--no-keys", is_flag=True, help="Do not open sealed files, even if a key is at hand.")
@common
@click.pass_obj
def check(
    settings: OutputSettings,
    /,
    environments: Sequence[str],
    staged: bool,
    format_: str,
    strict: bool,
    no_schemas: bool,
    no_history: bool,
    no_keys: bool,
    **fields: Any,
) -> None:
    """Check everything that can be known before Flux tries.

    Needs no cluster and no private key. Each rule stands in docs/checks.md;
    kasmgen.yaml can switch one off with a reason.

    \b
    Examples:
      kasmgen check
      kasmgen check prod --days 60
      kasmgen check --staged
      kasmgen check --format sarif > kasmgen.sarif
    """
    if staged and environments:
        raise InputError("--staged takes no environments: it checks whatever is staged")
    start = _start(settings)
    if staged:
        command = _command("check")
        found = command.run_staged(start)
    else:
        helm = _helm()
        command = _command("check")
        request = command.CheckRequest(
            environments, schemas=not no_schemas, history=not no_history, keys=not no_keys, **fields
        )
        with cli_output.progress(settings, "environments", len(environments) or _count_environments(start)) as step:
            found = command.run(start, request, helm, step)
    written = command.write(found, format_)
    if written:
        cli_output.out(written)
    for line in found.skipped:
        cli_output.say(settings, f"note: {line}", "warn")
    if found.errors or (strict and found.findings):
        raise AnswerIsNo(found.summary)
    cli_output.say(settings, found.summary, "good")


def _count_environments(start: Path) -> int:
    from kasmgen.project import workspace

    return len(workspace.environment_names(workspace.find_root(start)))


@cli.command()
@click.argument("arguments", nargs=-1, metavar="[BASE] [HEAD] [ENV]...", shell_complete=complete_environment)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "markdown", "html", "json"]),
    default="text",
    show_default=True,
    help="How to print the report.",
)
@click.option("--max-bytes", type=click.IntRange(2000), default=60_000, show_default=True, help="Size of markdown.")
@click.option("--exit-code", is_flag=True, help="Exit 1 if there is any difference.")
@click.option("--full", is_flag=True, help="Show whole objects and every line (text).")
@click.option("--no-pager", is_flag=True, help="Never use a pager.")
@common
@click.pass_obj
def diff(
    settings: OutputSettings,
    arguments: Sequence[str],
    output: str,
    max_bytes: int,
    exit_code: bool,
    full: bool,
    no_pager: bool,
) -> None:
    """Show what a change does to each cluster, secrets masked.

    Compares what Flux would apply between two revisions: by default where the
    branch left its upstream against the work tree. Needs no cluster and no key.

    \b
    Examples:
      kasmgen diff
      kasmgen diff main prod
      kasmgen diff v1 v2 --output html > report.html
      kasmgen diff origin/main --output markdown --exit-code
    """
    with cli_output.progress(settings, "environments", 100) as step:
        found = _command("diff").run(_start(settings), arguments, step)
    if output == "text":
        from kasmgen.review.formats import text as formats_text

        colour = settings.color and sys.stdout.isatty()
        shown = formats_text.render(found, colour=colour, full=full)
        if sys.stdout.isatty() and not no_pager:
            os.environ.setdefault("LESS", "FRX")
            click.echo_via_pager(shown, color=colour)
        else:
            cli_output.out(shown.rstrip("\n"))
    elif output == "markdown":
        from kasmgen.review.formats import markdown

        cli_output.out(markdown.render(found, max_bytes).rstrip("\n"))
    else:
        form = importlib.import_module(f"kasmgen.review.formats.{'html' if output == 'html' else 'json'}")
        cli_output.out(form.render(found).rstrip("\n"))
    if found.failed:
        names = ", ".join(item.name for item in found.environments if item.state == "failed")
        raise ToolError(f"these environments could not be built, so nobody knows what changes there: {names}")
    if exit_code and found.different:
        raise AnswerIsNo("there are differences")


@cli.command()
@click.argument("platform", type=click.Choice(["github", "gitlab"]))
@changing
@output_option
@common
@click.pass_obj
def ci(settings: OutputSettings, platform: str, options: Options, output: str) -> None:
    """Write a pipeline that checks every pull request and shows what it changes.

    It needs no key and no secret, so it works for forks too. docs/ci.md says
    what it does, and how to have the same elsewhere.

    \b
    Examples:
      kasmgen ci github
      kasmgen ci gitlab --dry-run
    """
    cli_output.outcome(settings, _command("ci").run(_start(settings), platform, options), output)


@cli.group()
def secret() -> None:
    """Secrets of an environment.

    \b
    Examples:
      kasmgen secret show prod admin-password --reveal
    """


@secret.command("show")
@click.argument("environment", metavar="ENV", shell_complete=complete_environment)
@click.argument("key", default="")
@click.option("--reveal", is_flag=True, help="Print to a terminal, too.")
@output_option
@common
@click.pass_obj
def secret_show(settings: OutputSettings, environment: str, key: str, reveal: bool, output: str) -> None:
    """Decrypt the Secrets of ENV, or one KEY of them, for those who hold a key.

    A terminal is refused without --reveal: it has a scrollback and onlookers.

    \b
    Examples:
      kasmgen secret show prod admin-password --reveal
      kasmgen secret show prod kasm-secrets/db-password | pbcopy
      kasmgen secret show prod --output json > /dev/shm/prod.json
    """
    if sys.stdout.isatty() and not reveal:
        raise InputError("secrets are not printed to a terminal", hint="add --reveal, or pipe the output")
    found = _command("secret_show").run(_start(settings), environment, key)
    if key and output == "text":
        value = next(iter(found.values())).reveal()
        cli_output.out_bytes(value + b"\n" if sys.stdout.isatty() and not value.endswith(b"\n") else value)
        return
    texts = {name: _as_text(value) for name, value in found.items()}
    if output == "json":
        cli_output.out_json(texts)
        return
    from kasmgen.yaml import documents

    cli_output.out_bytes(documents.dump(texts).encode())


def _as_text(value: Secret) -> str:
    import base64

    try:
        return value.reveal().decode()
    except UnicodeDecodeError:
        return base64.b64encode(value.reveal()).decode()


@cli.command()
@output_option
@common
@click.pass_obj
def doctor(settings: OutputSettings, output: str) -> None:
    """Show which programs were found, where, which version, and what is wrong.

    \b
    Examples:
      kasmgen doctor
      kasmgen doctor --output json
    """
    findings = _command("doctor").run(_start(settings))
    if output == "json":
        cli_output.out_json(cli_output.camel_case([item.as_json() for item in findings]))
    else:
        rows = [
            (item.what, "ok" if item.ok else "PROBLEM", item.version, item.where or item.problem) for item in findings
        ]
        cli_output.table(settings, ("WHAT", "STATE", "VERSION", "WHERE"), rows)
    wrong = [item.what for item in findings if not item.ok]
    if wrong:
        raise AnswerIsNo(f"something is wrong with: {', '.join(wrong)}")


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for a shell.

    \b
    Examples:
      eval "$(kasmgen completion bash)"
      kasmgen completion fish > ~/.config/fish/completions/kasmgen.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    cli_output.out(found(cli, {}, PROGRAM, "_KASMGEN_COMPLETE").source())


@cli.command()
@click.argument("directory", metavar="[DIR]", default="demo", type=click.Path())
@common
@click.pass_obj
def demo(settings: OutputSettings, directory: str) -> None:
    """Make a throwaway repository with two environments in DIR (./demo), and show it.

    \b
    Examples:
      kasmgen demo
      kasmgen demo /tmp/kasm-demo
    """
    helm = _helm()
    made = _command("demo").run(_start(settings) / directory, helm)
    cli_output.out(f"{made.root}\n" + "\n".join(f"  {line}" for line in made.tree))
    cli_output.out(f"\nkustomize build overlays/{made.environment}: {len(made.objects)} objects")
    for line in made.objects:
        cli_output.out(f"  {line}")
    cli_output.out(f"\nOne of them:\n\n{made.sample}")
    cli_output.say(settings, f"{made.root}: {len(made.files)} files, {len(made.commits)} commits", "good")
    # From a checkout's virtual environment it is not on PATH.
    program = PROGRAM if shutil.which(PROGRAM) else str(Path(sys.argv[0]).absolute())
    cli_output.say(settings, "next:")
    for step in (
        f"cd {made.root} && git log --stat",
        f"{made.build}   # everything that Flux would apply",
        f"{program} env show {made.environment}",
        f"{program} diff HEAD~1 HEAD   # what the last commit does to each cluster",
        f"{program} init my-repository --generate-key   # the real one",
    ):
        cli_output.say(settings, f"  {step}")


# --- the one place that catches errors ----------------------------------------------


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with a code of the table."""
    # Nearly all that a run makes is needed to its end: to look for garbage often is to find none.
    gc.set_threshold(50_000, 20, 20)
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """Run the command line; the exit code."""
    settings = OutputSettings()
    try:
        cli.main(arguments, prog_name=PROGRAM, standalone_mode=False, obj=settings)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except KasmgenError as error:
        cli_output.error(settings, error)
        return error.code
    except (KeyboardInterrupt, click.Abort):
        cli_output.error(settings, KasmgenError("interrupted; nothing was changed", hint="run it again when you like"))
        return 130
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - no traceback reaches a user, and none may show a value
        cli_output.error(settings, _bug(error))
        return KasmgenError.code
    return 0


def _bug(error: Exception) -> KasmgenError:
    """A bug in words: what kind and where, but not the message, which may hold anything."""
    trace = error.__traceback__
    place = "?"
    while trace:
        place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return KasmgenError(
        f"a bug in kasmgen: {type(error).__name__} at {place}", hint="please report it with the command"
    )
