"""Pooling, padding, and images of other lengths."""

from __future__ import annotations

import numpy as np
from tests.reference.modules.cases import ModuleCase, numbers, of_function

X1, X2, X3 = numbers(2, 2, 7), numbers(2, 2, 6, 5), numbers(1, 2, 4, 3, 5)
TIES = np.round(numbers(2, 2, 6, 5))  # -1, 0 and 1: several largest elements in most windows


MAXIMUM = [
    ModuleCase("MaxPool1d", {"kernel_size": 3}, (X1,)),
    ModuleCase("MaxPool2d", {"kernel_size": 2}, (X2,)),
    ModuleCase("MaxPool2d", {"kernel_size": 2, "stride": 1}, (TIES,)),
    ModuleCase("MaxPool2d", {"kernel_size": (3, 2), "stride": (1, 2), "padding": 1}, (X2[0],)),
    ModuleCase("MaxPool2d", {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}, (TIES,)),
    ModuleCase("MaxPool2d", {"kernel_size": 2, "dilation": (3, 2), "stride": 1, "return_indices": True}, (X2,)),
    ModuleCase("MaxPool3d", {"kernel_size": 2, "stride": (1, 1, 2)}, (X3,)),
    ModuleCase("AdaptiveMaxPool1d", {"output_size": 3}, (X1,)),
    ModuleCase("AdaptiveMaxPool2d", {"output_size": (3, 5)}, (X2,)),
    ModuleCase("AdaptiveMaxPool2d", {"output_size": (4, None), "return_indices": True}, (TIES,)),
    ModuleCase("AdaptiveMaxPool3d", {"output_size": 2}, (X3,)),
]

MEAN = [
    ModuleCase("AvgPool1d", {"kernel_size": 3, "stride": 2}, (X1,)),
    ModuleCase("AvgPool2d", {"kernel_size": 2}, (X2,)),
    ModuleCase("AvgPool2d", {"kernel_size": 3, "stride": 2, "padding": 1}, (X2[0],)),
    *[
        ModuleCase(
            "AvgPool2d",
            {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": ceil, "count_include_pad": counted},
            (numbers(1, 2, 6, 6),),
        )
        for ceil in (True, False)
        for counted in (True, False)
    ],
    ModuleCase("AvgPool2d", {"kernel_size": 2, "divisor_override": 3}, (X2,)),
    ModuleCase("AvgPool3d", {"kernel_size": 2, "stride": 1}, (X3,)),
    ModuleCase("AdaptiveAvgPool1d", {"output_size": 3}, (X1,)),
    ModuleCase("AdaptiveAvgPool2d", {"output_size": 1}, (X2,)),
    ModuleCase("AdaptiveAvgPool2d", {"output_size": (4, None)}, (X2[1],)),
    ModuleCase("AdaptiveAvgPool3d", {"output_size": (2, 2, 4)}, (X3,)),
]

AROUND = [
    *[ModuleCase(name, {"padding": (1, 2, 3, 0)}, (X2,)) for name in ("ZeroPad2d", "ReflectionPad2d")],
    *[ModuleCase(name, {"padding": 2}, (X2,)) for name in ("ReplicationPad2d", "CircularPad2d")],
    of_function("pad", (X2,), pad=[1, -1, 0, 2], value=2.5),
    of_function("pad", (X3,), pad=[1, 0, 2, 1, 0, 3], mode="reflect"),
    of_function("pad", (X3,), pad=[1, 0, 2, 3, 0, 3], mode="replicate"),
    of_function("pad", (X1,), pad=[3, 7], mode="circular"),
]

RESAMPLED = [
    ModuleCase("Upsample", {"scale_factor": 2}, (X2,)),
    ModuleCase("Upsample", {"size": (4, 9)}, (X2,)),
    ModuleCase("Upsample", {"scale_factor": (1.7, 0.6), "mode": "nearest-exact"}, (X2,)),
    ModuleCase("Upsample", {"scale_factor": 1.7, "mode": "linear"}, (X1,)),
    *[
        ModuleCase("Upsample", {"size": size, "mode": mode, "align_corners": aligned}, (X2,))
        for mode in ("bilinear", "bicubic")
        for size, aligned in (((9, 3), False), ((9, 3), True), ((1, 7), True))
    ],
    ModuleCase("Upsample", {"scale_factor": 1.5, "mode": "trilinear"}, (X3,)),
    of_function("interpolate", (X2,), scale_factor=0.6, mode="area"),
]

COLUMNS = [
    of_function("unfold", (X2,), kernel_size=(2, 3), dilation=(2, 1), padding=1, stride=(1, 2)),
    of_function(
        "fold",
        (numbers(2, 12, 9),),
        output_size=(5, 6),
        kernel_size=(2, 3),
        dilation=(2, 1),
        padding=(0, 1),
        stride=(1, 2),
    ),
]

CASES = [*MAXIMUM, *MEAN, *AROUND, *RESAMPLED, *COLUMNS]
