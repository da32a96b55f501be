"""Programs that call libraries."""

import numpy as np

import lowering
import minijax as jax
from minijax import core

_CALL = """#stablehlo.output_operand_alias<output_tuple_indices = [0], operand_index = 0,
operand_tuple_indices = []>"""


def test_lapack_is_registered_when_a_program_names_it():
    potrf_p = core.Primitive(
        "potrf_for_test", multiple_results=True,
        shape=lambda a: [a, core.ShapedArray((), np.dtype(np.int32))])

    @lowering.rule("potrf_for_test")
    def lower_potrf(ctx, a):
        return ctx.op(
            "stablehlo.custom_call", [a], ctx.outs, call_target_name='"lapack_spotrf_ffi"',
            api_version="4 : i32", backend_config="{uplo = 76 : ui8}",
            operand_layouts="[dense<[0, 1]> : tensor<2xindex>]",
            result_layouts="[dense<[0, 1]> : tensor<2xindex>, dense<> : tensor<0xindex>]",
            output_operand_aliases=f"[{_CALL}]")

    a = np.array([[4.0, 2.0], [2.0, 3.0]], np.float32)
    out, info = jax.jit(lambda x: potrf_p.bind(x))(a)
    assert int(info) == 0
    np.testing.assert_allclose(np.tril(out), np.linalg.cholesky(a), rtol=1e-6)
