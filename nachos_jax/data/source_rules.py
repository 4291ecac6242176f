"""Fields of config.data that would do nothing with the cases that it names: refused, with the cure."""

from __future__ import annotations

from nachos_jax.config.data_fields import no_class_names
from nachos_jax.config.fields import FIELDS
from nachos_jax.config.run_config import DataConfig
from nachos_jax.config.windows import OF_FILE
from nachos_jax.core.errors import UsageError
from nachos_jax.data import volumes


def check(data: DataConfig, masks_wanted: bool) -> None:
    """Refuses fields that say how files are read where nothing would do as they say."""
    files = data.source in ("folder", "csv") and not masks_wanted
    for name in ("include", "exclude"):
        columns = name == "exclude" and data.features  # beside images
        if getattr(data, name) and (data.source != "folder" or masks_wanted) and not columns:
            raise UsageError(
                f"config.data.{name} = {getattr(data, name)!r} does nothing here: it is for folders of "
                "images or volumes without masks. Set it to (), and drop the rows or files."
            )
    _several(data, masks_wanted)
    if masks_wanted and data.aspect != FIELDS["data.aspect"].default:
        raise UsageError(
            f"config.data.aspect = {data.aspect!r} does nothing for images with masks, which are taken as "
            "they are stored: set it to 'stretch'."
        )
    if data.frame >= 0 and not files:
        raise UsageError(
            f"config.data.frame = {data.frame} does nothing here: it is for DICOM and TIFF files of a folder "
            "or CSV table that are cases without masks. Set it back to -1."
        )
    idle = [name for name, there in (("frame", data.frame >= 0), ("voi", data.voi == OF_FILE)) if there]
    if whole(data):
        idle += [
            name for name, there in (("facing", data.facing), ("aspect", data.aspect == "crop")) if there
        ]
    if data.volume and idle:
        raise UsageError(
            f"config.data.{idle[0]} = {getattr(data, idle[0])!r} is for single images, and "
            f"config.data.volume = {data.volume!r} takes volumes: set it back to "
            f"{FIELDS[f'data.{idle[0]}'].default!r}."
        )
    if data.voi and masks_wanted:
        raise UsageError(
            f"config.data.voi = {data.voi!r} does nothing for images with masks, which are taken as they are "
            "stored: set it to ''."
        )
    if data.voi == OF_FILE and not files:
        raise UsageError(
            f"config.data.voi = {data.voi!r} reads DICOM headers, and config.data.source = {data.source!r} "
            "has none: give centre and width, like '(40, 400)'."
        )


def _several(data: DataConfig, masks_wanted: bool) -> None:
    """Refuses names of targets and of classes where nothing reads them."""
    if data.target_keys and (masks_wanted or data.source not in ("npz", "csv")):
        raise UsageError(
            f"config.data.target_keys = {data.target_keys!r} does nothing here: it is for columns of a CSV "
            "table or arrays of an npz file that hold labels. Set it to ()."
        )
    named = FIELDS["data.label_names_key"].default
    if data.label_names_key not in ("", named) and no_class_names(data.source, data.target_keys):
        why = "names the classes of one array of labels, and config.data.target_keys has several"
        raise UsageError(
            f"config.data.label_names_key = {data.label_names_key!r} does nothing here: it "
            f"{why if data.target_keys else 'is for npz files'}. Set it back to {named!r}."
        )


def whole(data: DataConfig) -> bool:
    """Whether cases are whole volumes."""
    return data.volume == volumes.WHOLE
