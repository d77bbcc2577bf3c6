"""`python -m fvg_core train config.toml`, `python -m fvg_core rewrite --suite`: the commands."""

from __future__ import annotations

import sys
from pathlib import Path

from .errors import FVGError


def main() -> None:
    try:
        import typer
    except ImportError:
        sys.exit("the commands need the package typer, which is not installed: pip install typer")

    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
    config = typer.Argument(help="A TOML file; see fvg_core/train/configs.")
    out = typer.Option(None, help="The run's folder. By default runs/<name of the file>.")
    resume = typer.Option(False, help="Refuse to start anew if there is no checkpoint.")
    steps = typer.Option(None, min=1, help="In place of the file's own number of steps.")
    layout = typer.Option("host", help="Of the LoRA file: host (ComfyUI) or diffusers.")

    @app.callback()
    def commands() -> None:
        """Factorized Video Generation without ComfyUI."""

    @app.command()
    def models() -> None:
        """The video models: what they need, their own settings, sizes, and memory for training."""
        from .backbones.table import lines

        print("\n".join(lines()))

    @app.command()
    def train(
        config: Path = config,
        out: Path | None = out,
        resume: bool = resume,
        steps: int | None = steps,
        layout: str = layout,
    ) -> None:
        """Train an anchor LoRA; goes on by itself where an earlier run of the folder stopped.

        On several GPUs: accelerate launch -m fvg_core train config.toml
        """
        _train(config, out or Path("runs") / config.stem, resume, steps, layout)

    file = typer.Argument(None, help="A suite (.jsonl) or prompts, one a line. The own suite.")
    suite = typer.Option(False, "--suite", help="Score the file instead of writing its texts.")
    backend = typer.Option("rules", help="rules, transformers or server.")
    model = typer.Option(None, help="Of transformers: the model's folder.")
    precision = typer.Option("bf16", help="Of transformers: bf16, fp32 or 4bit.")
    server = typer.Option("llm.json", help="Of server: its configuration.")
    seed = typer.Option(0, min=0, help="Of the first attempt.")
    wrong = typer.Option(False, "--wrong", help="With --suite: name all that went wrong.")

    @app.command()
    def rewrite(
        file: Path | None = file,
        suite: bool = suite,
        backend: str = backend,
        model: Path | None = model,
        precision: str = precision,
        server: Path = server,
        seed: int = seed,
        wrong: bool = wrong,
    ) -> None:
        """Write the first-frame prompts of a file, or score a backend on it (--suite)."""
        from .prompts.command import run

        try:
            run(file, suite, backend, model, precision, server, seed, wrong)
        except FVGError as error:
            sys.exit(f"{type(error).__name__}: {error}")

    app()


def _train(config: Path, out: Path, resume: bool, steps: int | None, layout: str) -> None:
    from .train.headless import Stopped, train
    from .train.job import read_job
    from .train.processes import join

    try:
        job = read_job(config, steps=steps)
        train(job, out, join(), layout=layout, must_resume=resume)
    except FVGError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except Stopped as stopped:
        said = " --steps " + str(steps) if steps else ""
        print(f"{stopped}. To go on: python -m fvg_core train {config} --out {out}{said}")
        sys.exit(130)


if __name__ == "__main__":
    main()
