"""Samples for minijax/lax/conv.py."""

from minijax.lax.conv import conv_dimension_numbers

from .sample import Sample


def conv(lhs, rhs, strides, padding, base=None, spread=None, layout=None, groups=1,
         batch_groups=1, **options):
    ones = (1,) * len(strides)
    params = dict(window_strides=strides, padding=padding, lhs_dilation=base or ones,
                  rhs_dilation=spread or ones,
                  dimension_numbers=conv_dimension_numbers(lhs, rhs, layout),
                  feature_group_count=groups, batch_group_count=batch_groups, precision=None,
                  preferred_element_type=None, out_sharding=None)
    return Sample((lhs, rhs), params, **options)


NHWC = ("NHWC", "HWIO", "NHWC")
MIXED = ("HNCW", "WOHI", "CWNH")

SAMPLES = {
    "conv_general_dilated": [
        conv((2, 3, 5, 6), (4, 3, 3, 2), (1, 1), ((1, 1), (0, 1)), dtypes=("f", "c", "i")),
        conv((2, 5, 6, 3), (3, 2, 3, 4), (2, 1), ((0, 1), (2, 0)), layout=NHWC),
        conv((5, 2, 3, 6), (2, 4, 3, 3), (2, 3), ((1, 2), (0, 1)), (2, 1), (1, 2), MIXED),
        conv((2, 4, 7), (6, 2, 3), (2,), ((1, 0),), groups=2),
        conv((4, 3, 7), (6, 3, 3), (2,), ((-1, 2),), (2,), batch_groups=2),
        conv((2, 3, 4), (2, 3, 2), (3,), ((0, 0),)),
        conv((2, 3), (4, 3), (), ()),
    ],
}
