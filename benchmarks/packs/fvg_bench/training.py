"""A stopwatch and a memory gauge around a trainer of the graph, ours or the host's."""

from __future__ import annotations

import ctypes
import gc
import json
import time
from pathlib import Path

import comfy.model_management
import comfy.utils
import folder_paths
import torch
from comfy_api.latest import io

Dataset = io.Custom("FVG_DATASET")
_PROC = Path("/proc/self")


def _device() -> torch.device:
    return comfy.model_management.get_torch_device()


def _memory(name: str) -> int | None:
    """Bytes of this process: VmRSS now or VmHWM at most. None where the system does not say."""
    try:
        text = (_PROC / "status").read_text(encoding="ascii")
    except OSError:
        return None
    return 1024 * int(text.split(f"{name}:")[1].split()[0])


def _used() -> int | None:
    """Bytes in use now: on a GPU those of its tensors, else the process's."""
    return torch.cuda.memory_allocated() if _device().type == "cuda" else _memory("VmRSS")


def _peak() -> int | None:
    """The most that was in use since `_forget_peak`."""
    if _device().type == "cuda":
        return torch.cuda.max_memory_allocated()
    return _memory("VmHWM")


def _forget_peak() -> None:
    if _device().type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    elif (_PROC / "clear_refs").exists():
        (_PROC / "clear_refs").write_text("5")  # proc_pid_clear_refs(5): resets VmHWM


def _release() -> None:
    """Give back what is free, so that it does not hide what training takes."""
    gc.collect()
    if _device().type == "cuda":
        torch.cuda.empty_cache()
    elif _PROC.exists():
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
        if trim is not None:
            trim(0)


class Stopwatch:
    """Notes the time at every advance of the host's progress bars: a trainer's is one a step."""

    def __init__(self) -> None:
        _release()
        self.used = _used()
        _forget_peak()
        self.loading: int | None = None  # peak until the first step was done
        self.stamps: list[dict[str, float]] = []
        self._advance = comfy.utils.ProgressBar.update_absolute

    def start(self) -> None:
        watch, advance = self, self._advance

        def update_absolute(bar, value, *args, **kwargs):
            watch.note(value)
            return advance(bar, value, *args, **kwargs)

        comfy.utils.ProgressBar.update_absolute = update_absolute

    def note(self, value: int) -> None:
        if _device().type == "cuda":
            torch.cuda.synchronize()
        if not self.stamps:
            self.loading = _peak()
            _forget_peak()
        stamp = {"value": value, "wall": time.perf_counter(), "cpu": time.process_time()}
        self.stamps.append(stamp)

    def stop(self) -> dict:
        comfy.utils.ProgressBar.update_absolute = self._advance
        return {
            "stamps": self.stamps,
            "memory": {"before": self.used, "loading": self.loading, "steps": _peak()},
            "device": _device().type,
            "torch_threads": torch.get_num_threads(),
        }


_watch: Stopwatch | None = None


class StartTraining(io.ComfyNode):
    """Everything a trainer takes goes through here, so that nothing else is timed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FVGBenchStartTraining",
            inputs=[
                io.Model.Input("model"),
                Dataset.Input("dataset"),
                io.Int.Input("run", tooltip="Another number has everything after this run again."),
            ],
            outputs=[
                io.Model.Output(),
                Dataset.Output(),
                io.Latent.Output(tooltip="The dataset's latents, for the host's trainer."),
                io.Conditioning.Output(tooltip="Its captions."),
            ],
        )

    @classmethod
    def execute(cls, model, dataset, run) -> io.NodeOutput:
        global _watch
        count = range(len(dataset.ids))
        latents = torch.stack([dataset.latents(i) for i in count])
        samples = model.model.process_latent_out(latents)  # the host's trainer undoes it
        texts = [[dataset.text(i)[None], {}] for i in count]
        _watch = Stopwatch()
        _watch.start()
        return io.NodeOutput(model, dataset, {"samples": samples}, texts)


class StopTraining(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FVGBenchStopTraining",
            is_output_node=True,
            inputs=[
                io.AnyType.Input("after", tooltip="An output of the trainer."),
                io.String.Input("name"),
            ],
            outputs=[],
        )

    @classmethod
    def execute(cls, after, name) -> io.NodeOutput:
        global _watch
        watch, _watch = _watch, None
        if watch is None:
            raise RuntimeError(
                "the stopwatch was not started: the host took FVGBenchStartTraining from its "
                "cache. Give each run of a server another number."
            )
        path = Path(folder_paths.get_output_directory()) / f"{name}.json"
        path.write_text(json.dumps(watch.stop()), encoding="utf-8")
        return io.NodeOutput()


class EncodingAnew:
    """The same samples as a cached dataset, from the clips at every reading."""

    def __init__(self, cached, folder: Path, model, vae, clip) -> None:
        self.fingerprint, self.ids, self.buckets = cached.fingerprint, cached.ids, cached.buckets
        self.digests, self.empty_text = cached.digests, cached.empty_text
        (_, self._h, self._w), *_ = cached.buckets
        self._clips = [folder / name for name in cached.clips]
        self._captions = cached.captions
        self._model, self._vae, self._clip = model, vae, clip

    @torch.no_grad()
    def latents(self, index: int) -> torch.Tensor:
        import av

        stride = self._vae.spacial_compression_encode()
        size = self._w * stride, self._h * stride
        with av.open(str(self._clips[index])) as file:
            frames = [
                torch.from_numpy(f.reformat(*size, format="rgb24").to_ndarray())
                for f in file.decode(video=0)
            ]
        z = self._vae.encode(torch.stack(frames).float() / 255)
        return self._model.model.process_latent_in(z.float())[0]

    @torch.no_grad()
    def text(self, index: int) -> torch.Tensor:
        tokens = self._clip.tokenize(self._captions[index], disable_weights=True)
        return self._clip.encode_from_tokens(tokens)[0].float()


class EncodeAnew(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FVGBenchEncodeAnew",
            inputs=[
                Dataset.Input("dataset"),
                io.String.Input("folder", tooltip="The clips, below the host's input folder."),
                io.Model.Input("model"),
                io.Vae.Input("vae"),
                io.Clip.Input("clip"),
            ],
            outputs=[Dataset.Output()],
        )

    @classmethod
    def execute(cls, dataset, folder, model, vae, clip) -> io.NodeOutput:
        clips = Path(folder_paths.get_input_directory()) / folder
        return io.NodeOutput(EncodingAnew(dataset, clips, model, vae, clip))
