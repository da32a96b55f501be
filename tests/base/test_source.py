"""Lines of the user's program, in tracebacks and warnings."""

import traceback
import warnings

from minijax.base import config, source, util


def test_user_frame_is_the_innermost_outside_minijax():
    def loss():
        return util.safe_map(lambda _: source.capture(), [0])[0]

    frame = source.user_frame(loss())
    assert frame.file == __file__ and "loss" in frame.function
    assert frame.line == loss.__code__.co_firstlineno + 1
    assert str(frame).endswith(f"test_source.py:{frame.line} in {frame.function}")
    assert source.user_frame(None) is None


def test_current_user_frame():
    frame = source.current_user_frame()
    assert frame.file == __file__ and frame.function == "test_current_user_frame"


def test_internal_files():
    assert source.is_internal(source.__file__)
    assert not source.is_internal(__file__)
    for _ in range(2):  # libraries register twice, and take away once
        source.register_exclusion("/somewhere/library/")
    assert source.is_internal("/somewhere/library/a.py")
    assert source._internal_folders.count("/somewhere/library/") == 1


def test_warnings_point_at_the_user():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        source.warn("careful", DeprecationWarning)
    assert caught[0].filename == __file__ and caught[0].category is DeprecationWarning


def failing():
    util.canonicalize_axis(5, 2)


def frames_of(error):
    return [frame.filename for frame in traceback.extract_tb(error.__traceback__)]


def test_internal_frames_are_hidden():
    try:
        failing()
    except ValueError as error:
        assert frames_of(error)[-1] == util.__file__
        assert set(frames_of(source.hide_internal_frames(error))) == {__file__}
    try:
        failing()
    except ValueError as error:
        with config.traceback_filtering("off"):
            assert frames_of(source.hide_internal_frames(error))[-1] == util.__file__
