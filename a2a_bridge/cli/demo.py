"""`a2a-bridge demo`: the demo reads its own options."""

import typer

from a2a_bridge.demo.main import main as run_demo

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
)
def demo(ctx: typer.Context) -> None:
    """A group chat of agents of several frameworks, over A2A."""
    raise typer.Exit(run_demo(ctx.args))
