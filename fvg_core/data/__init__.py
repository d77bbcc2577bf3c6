"""Video data for training: a folder of clips and captions becomes latents and text features.

scan      which clips there are, with their captions, and why others are left out
captions  captions beside the clips and in metadata files
probe     what a clip is: content hash, size, duration
buckets   the size and length that each clip is cut to
decode    the pixels of a clip at a frame rate and size
store     tensors in safetensors shards, written whole or not at all
cache     encodes what is not stored yet
dataset   reads what is stored
prepare   all of it in order
"""

from .buckets import Target, plan
from .cache import build_cache
from .dataset import CachedDataset
from .decode import decode
from .prepare import Prepared, prepare
from .probe import Facts, probe
from .scan import ClipFile, Listing, stamp

__all__ = [
    "CachedDataset",
    "ClipFile",
    "Facts",
    "Listing",
    "Prepared",
    "Target",
    "build_cache",
    "decode",
    "plan",
    "prepare",
    "probe",
    "stamp",
]
