"""`python -m fvg_core`: the commands models, convert, train, diagnose, rewrite and batch."""

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

    source = typer.Argument(help="The folder `transformer` of a pipeline in diffusers' layout.")
    target = typer.Argument(help="A new .safetensors file, in ComfyUI's models/diffusion_models.")

    @app.command()
    def convert(folder: Path = source, out: Path = target) -> None:
        """Write a diffusers transformer (CogVideoX 1.5, Wan) as the file that ComfyUI loads."""
        from .backbones.convert import convert

        try:
            print(f"{convert(folder, out)} tensors in {out}")
        except FVGError as error:
            sys.exit(f"{type(error).__name__}: {error}")

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

    asked = typer.Argument(help="In the tiny world's words, which its scorer knows.")
    video_seed = typer.Option(7, "--seed", min=0, help="Of the candidates and of the videos.")
    running = typer.Option("http://127.0.0.1:8188", "--server", help="A running ComfyUI.")
    kept = typer.Option(None, "--out", help="The folder. By default out/diagnose-<prompt>-<seed>.")

    @app.command()
    def diagnose(
        prompt: str = asked,
        seed: int = video_seed,
        server: str = running,
        out: Path | None = kept,
    ) -> None:
        """Frame or motion? What plain text-to-video gets wrong, on the tiny world."""
        from .diagnose.command import diagnose as run

        try:
            words, folder = run(prompt, seed, server, out)
        except FVGError as error:
            sys.exit(f"{type(error).__name__}: {error}")
        print(f"{words}\n\n{folder}")

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

    prompts = typer.Argument(None, help="A .txt, .csv or .jsonl list, or - for standard input.")
    template = typer.Option(None, help="A workflow, saved or exported for the API.")
    folder = typer.Option(..., help="Where results and manifest go; the same folder goes on.")
    servers = typer.Option(
        [],
        "--server",
        help="A running ComfyUI; several share the list.",
        show_default="http://127.0.0.1:8188",
    )
    start = typer.Option(False, "--start", help="Start a ComfyUI for it (in a checkout).")
    ray = typer.Option(
        None,
        metavar="ADDRESS",
        help="Start one on each GPU of a Ray cluster: local, auto or host:port.",
    )
    ray_workers = typer.Option(
        None, min=1, help="How many --ray starts; on a cluster without GPUs, on a CPU each."
    )
    settings = typer.Option([], "--set", help='"Node title.widget=value", any number of times.')
    seeds = typer.Option(None, help="Of pictures and videos, for example 0-4: one run for each.")
    prompt_to = typer.Option(None, help='"Node title.widget" of templates without a rewriter.')
    named = typer.Option(None, "--suite", help="t2v-compbench, vbench2 or vbench.")
    prompts_dir = typer.Option(None, help="With --suite: its prompt files, in your copy.")
    dimensions = typer.Option([], "--dimension", help="With --suite: only this one.")
    retries = typer.Option(2, min=0, help="How often a failed run is tried again.")
    job_timeout = typer.Option(
        None,
        metavar="MINUTES",
        help="How long a job may run without a step before it is stopped.",
        show_default="120, or 20 times that server's longest run",
    )
    several = typer.Option(1, min=1, max=64, help="Wordings of the first frame for each line.")
    mode = typer.Option("fvg", help="fvg, or without anchors: t2v, upsampled (prompts).")
    interleave = typer.Option(False, "--interleave", help="Video after video, not in phases.")
    previews = typer.Option(False, "--previews", help="Keep a picture of what is being made.")
    stop_after = typer.Option(None, help="anchors: draw them, and write a page to choose on.")
    anchors = typer.Option(None, help="The --out of a batch whose anchors are to be used.")
    choices = typer.Option(None, help="The choices.json that the page saved.")
    remove = typer.Option(False, "--cancel", help="Only remove this batch's jobs from the queues.")

    @app.command()
    def batch(
        prompts: str | None = prompts,
        template: Path | None = template,
        out: Path = folder,
        servers: list[str] = servers,
        start: bool = start,
        ray: str | None = ray,
        ray_workers: int | None = ray_workers,
        settings: list[str] = settings,
        seeds: str | None = seeds,
        prompt_to: str | None = prompt_to,
        suite: str | None = named,
        prompts_dir: Path | None = prompts_dir,
        dimensions: list[str] = dimensions,
        retries: int = retries,
        job_timeout: float | None = job_timeout,
        variations: int = several,
        mode: str = mode,
        interleave: bool = interleave,
        previews: bool = previews,
        stop_after: str | None = stop_after,
        anchors: Path | None = anchors,
        choices: Path | None = choices,
        cancel: bool = remove,
    ) -> None:
        """Run a list of prompts through a template, unattended; the same command goes on."""
        given = dict(locals())
        from .bench import command

        try:
            act = command.cancel if given.pop("cancel") else command.command
            sys.exit(act(command.Arguments(**given)))
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
