"""The fields of config.data: where the cases come from, and how they are prepared."""

from __future__ import annotations

from typing import Any

from nachos_jax.config.field import Field, Section, one_of, real, text, texts, whole
from nachos_jax.core.hparams import PREPARATION, by_name

WAIVER = "one_case_per_subject"
IMPUTE = ("", "mean", "median")
DESCRIBED = ("age", "sex")
"""Columns by which cases inside and external ones are compared, where both have them."""


def _prepared(name: str, **more: Any) -> Field:
    """A field that is a hyperparameter too, whose values, default and meaning stand there."""
    row = by_name(PREPARATION)[name]
    return one_of(name, row.default, row.choices, row.meaning, **more)


DATA = Section(
    "data",
    "Where the cases come from and how their pixels are prepared.",
    (
        one_of(
            "source",
            "npz",
            ("digits", "npz", "folder", "csv", "vectors", "arrays"),
            '"folder": one sub-folder a class; "vectors": features from npz, csv, tsv or parquet; "digits": '
            'embedded; "arrays": given from Python',
        ),
        text("path", "", "file or folder; relative to the working directory", no_result=True),
        texts("include", "folder: patterns of the files to take, like '*.png'; () = all images", before=[]),
        texts(
            "exclude",
            "folder: patterns of files to leave out, like '*_mask*'; of features: of columns",
            before=[],
        ),
        texts(
            "features",
            "patterns of columns to take, like 'original_*'; vectors: () = the whole array of an npz; csv, "
            "npz: those beside the images, () = none",
            before=[],
        ),
        one_of(
            "impute",
            "",
            IMPUTE,
            'features: what stands for a missing value, of the training cases of each fit; "" refuses them',
            before="",
        ),
        text("image_key", "images", 'npz: array [N, H, W] or [N, H, W, 3]; csv: column "path" is used'),
        text(
            "label_key",
            "labels",
            'npz: array of labels; csv: column "label" is used; folder: expression, else first sub-folder',
        ),
        text("label_names_key", "label_names", "npz: array of class names, used when it is there"),
        text("mask_key", "masks", "npz: array of masks, 0 = background (segmentation)", before="masks"),
        text(
            "shape_key", "shape", "npz: array of sides [N, axes], what lies beyond is cut off", before="shape"
        ),
        text(
            "spacing_key", "spacing", "npz: array of mm a voxel [N, axes], used when there", before="spacing"
        ),
        _prepared("spacing", before=""),
        texts("target_keys", "arrays or columns of the targets, where a task has several", before=[]),
        text(
            "subject_key",
            "",
            'npz: array, csv: column (default "subject"); folder: regular expression, one group',
        ),
        text("site_key", "", 'npz: array, csv: column (default "site"); folder: likewise'),
        text("fold_key", "", 'npz: array, csv: column (default "fold"); folder: likewise'),
        text(
            "case_key",
            "",
            'vectors: array or column of the case names (default "case"; without it row numbers)',
            before="",
        ),
        texts(
            "external",
            "values of site whose cases are kept out of everything and tested once, by each model",
            before=[],
        ),
        text(
            "external_path",
            "",
            "file or folder of such cases, of the same kind as path; a finished run may be given one later",
            before="",
            no_result=True,
        ),
        one_of("subject", "", ("", WAIVER), "the waiver states that no subject has two cases"),
        one_of(
            "spellings",
            "refuse",
            ("refuse", "join", "apart"),
            'of ids and labels, as P01 and p01, 1 and 1.0: "join" makes one of them, "apart" keeps each',
            no_result=True,
        ),
        one_of(
            "equal_images",
            "refuse",
            ("refuse", "accept"),
            '"accept": as they are, like allow = ("duplicates", "contradictions")',
            no_result=True,
        ),
        texts(
            "allow",
            'leakage that is accepted: "duplicates" (equal images of different subjects in different folds), '
            '"contradictions" (equal images with different targets)',
            before=[],
            no_result=True,
        ),
        texts("classes", "class names in the order of the probabilities; () = sorted, all that are found"),
        one_of(
            "volume",
            "",
            ("", "whole", "middle", "mean", "max"),
            'cases with depth: "whole", or an image of each: its middle slice, its mean or maximum along the '
            'depth; "" = cases are images',
            before="",
        ),
        whole("depth", 0, 0, 8192, "volumes: slices after resizing, beside height and width", before=0),
        whole("height", 0, 0, 8192, "pixels after resizing; 0 = as stored, when all cases agree"),
        whole("width", 0, 0, 8192, "likewise; set both or neither"),
        one_of("channels", 0, (0, 1, 3), "1 = gray, 3 = colour; 0 = as stored, when all cases agree"),
        _prepared("aspect"),
        _prepared("clahe", before=0),
        one_of(
            "on_error",
            "stop",
            ("stop", "skip"),
            'images that cannot be read: "stop" lists them, "skip" leaves them out and says so everywhere',
            before="stop",
        ),
        whole(
            "frame",
            -1,
            -1,
            99_999,
            "of a multi-frame DICOM file or page of a TIFF, counted from 0; -1 refuses files with several",
            before=-1,
        ),
        text(
            "voi",
            "",
            'values shown as 0 to 255: "file" (VOI LUT or window of the DICOM header), "lung", "brain", '
            '"bone", "soft" (of CT), or "(centre, width)"; "" = as stored',
            before="",
        ),
        one_of(
            "facing",
            "",
            ("", "left", "right"),
            "side of the brighter half; images of the other side are mirrored, as of right and left breasts",
            before="",
        ),
        real(
            "subset",
            1.0,
            0.001,
            1.0,
            "share of the subjects that take part, for quick runs; a smaller one lies within a larger one",
            before=1.0,
        ),
        one_of(
            "residency",
            "auto",
            ("auto", "resident", "stream"),
            '"resident" on each device, "stream" from disk; "auto" = resident if they fit',
            no_result=True,
        ),
        whole(
            "window",
            16384,
            1,
            10**9,
            "cases that are shuffled together; when streaming, two windows are on a device",
        ),
        text(
            "cache",
            "",
            'folder of decoded pixels; "" = $XDG_CACHE_HOME/nachos_jax or ~/.cache/nachos_jax',
            no_result=True,
        ),
    ),
)

OF_IMAGES = (
    "include",
    "image_key",
    "height",
    "width",
    "channels",
    "aspect",
    "clahe",
    "on_error",
    "facing",
    "frame",
    "voi",
    "cache",
    "volume",
    "depth",
)
"""Fields of config.data that vectors have no use for."""
OF_VECTORS = ("features", "impute", "case_key")
"""Fields of config.data that images have no use for."""


def no_class_names(source: object, target_keys: object) -> bool:
    """Whether nothing reads config.data.label_names_key, which is of one array of labels in an npz file."""
    return bool(target_keys) or source in ("csv", "folder")
