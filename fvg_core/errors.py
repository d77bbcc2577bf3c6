"""Named errors. Each message says what was given, what is expected and what to do."""


class FVGError(ValueError):
    """Base of every error a user can cause."""


class PromptError(FVGError):
    """The prompt is empty, too long, or cannot be rewritten."""


class SizeError(FVGError):
    """Width, height or length that the model's latent grid cannot hold."""


class AnchorError(FVGError):
    """An anchor that does not fit its video: frame, shape or channels."""


class ModelMismatchError(FVGError):
    """A model that cannot understand per-frame timesteps, or does not fit the latent."""


class WeightsError(FVGError):
    """A weights file that is missing, corrupt or of another format."""


class HostError(FVGError):
    """The ComfyUI server cannot be installed, started or reached."""


class TrainingError(FVGError):
    """Training that cannot start or go on: settings, data, a loss that is not a number."""


class LoraError(FVGError):
    """A LoRA that cannot be read, written, or fitted into its model."""


class DataError(FVGError):
    """Video data that cannot be read, encoded or stored."""


class LanguageModelError(FVGError):
    """A language model that cannot be loaded or reached, or whose reply is of no use."""


class EmptyReplyError(LanguageModelError):
    """A reply of a language model in which nothing is said."""


class BatchError(FVGError):
    """A prompt list, setting or folder that a batch cannot work with."""
