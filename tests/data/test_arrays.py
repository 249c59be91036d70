"""Array sources: resident and read rows equal the array; errors name bad rows."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flowjax.data.arrays import ArraySource, check_rows, open_rows, release
from flowjax.data.part import Part
from flowjax.data.rowfile import RowFile
from flowjax.parallel import processes

MATRIX = hnp.arrays(
    st.sampled_from([np.float32, np.float64, np.float16, np.int32, np.uint8]),
    hnp.array_shapes(min_dims=2, max_dims=2),
    elements={"allow_nan": False, "allow_infinity": False},
)


def matrices():
    return MATRIX.filter(lambda x: np.isfinite(x.astype(np.float32)).all())


@given(st.data())
def test_resident_and_read_give_the_same_rows(data):
    with np.errstate(over="ignore"):
        rows = data.draw(matrices())
    wanted = data.draw(hnp.arrays(np.int64, 5, elements=st.integers(0, len(rows) - 1)))
    kept, read = ArraySource(rows, resident=True), ArraySource(rows, resident=False)
    assert kept.read(wanted) == {} and read.resident is None
    assert kept.resident["x"].dtype == read.read(wanted)["x"].dtype == np.float32
    assert np.array_equal(kept.resident["x"][wanted], read.read(wanted)["x"])
    assert (kept.size, kept.dim) == rows.shape


@given(st.integers(1, 50), st.integers(1, 5), st.data())
def test_error_of_the_first_bad_number(n, d, data):
    rows = np.zeros((n, d))
    place = st.tuples(st.integers(0, n - 1), st.integers(0, d - 1))
    places = data.draw(st.sets(place, min_size=1))
    for place in places:
        rows[place] = data.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    row, column = min(places)
    with pytest.raises(ValueError, match=f"at row {row}, column {column}$"):
        ArraySource(rows)


def test_bad_number_beyond_the_first_block():
    rows = np.zeros((5, 1 << 22), np.float32)
    rows[3, 7] = np.inf
    with pytest.raises(ValueError, match="got inf at row 3, column 7"):
        check_rows(rows)


def test_float64_beyond_float32():
    with pytest.raises(ValueError, match=r"numbers in float32, got 1e\+39 at row 1, column 0"):
        check_rows(np.array([[1.0], [1e39]]))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros(3), r"shape \(n, d\), got \(3,\)"),
        (np.zeros((0, 3)), r"got \(0, 3\)"),
        (np.zeros((2, 3, 4)), r"got \(2, 3, 4\)"),
        (np.zeros((2, 2), complex), "real numbers, got dtype complex128"),
        (np.array([["a"]]), "real numbers, got dtype"),
        (np.array([[None]]), "real numbers, got dtype object"),
        (np.array([[True]]), "real numbers, got dtype bool"),
        ([[1, 2], [3]], "inhomogeneous"),
    ],
)
def test_errors_of_arrays(rows, message):
    with pytest.raises(ValueError, match=f"mine: expected .*{message}"):
        ArraySource(rows, name="mine")


def test_bfloat16():
    import jax.numpy as jnp

    source = ArraySource(jnp.ones((2, 3), jnp.bfloat16), resident=False)
    assert source.read(np.array([1]))["x"].tolist() == [[1.0, 1.0, 1.0]]


def test_context():
    source = ArraySource(np.zeros((3, 2)), np.arange(3)[:, None], resident=False)
    assert source.read(np.array([2, 0]))["context"].tolist() == [[2.0], [0.0]]
    with pytest.raises(ValueError, match="context: expected 3 rows, got 2"):
        ArraySource(np.zeros((3, 2)), np.zeros((2, 1)))
    with pytest.raises(ValueError, match=r"context: expected rows of shape \(n, d\), got \(3,\)"):
        ArraySource(np.zeros((3, 2)), np.zeros(3))


def test_mapped_files(tmp_path):
    rows = np.random.default_rng(0).normal(size=(1000, 7)).astype(np.float32)
    np.save(tmp_path / "a.npy", rows)
    mapped = open_rows(tmp_path / "a.npy")
    assert isinstance(mapped, np.memmap)
    source = ArraySource(mapped, resident=False)
    where = np.random.default_rng(1).integers(0, 1000, 64)
    assert np.array_equal(source.read(where)["x"], rows[where])
    release(mapped)  # releases pages, not numbers
    release(mapped[5:10])
    assert np.array_equal(mapped, rows)


@given(st.integers(1, 40), st.integers(1, 5), st.data())
def test_rows_of_a_file(tmp_path_factory, n, dim, data):
    rows = (
        np.random.default_rng(n)
        .normal(size=(n, dim))
        .astype(data.draw(st.sampled_from([np.float32, np.float64, np.int16])))
    )
    path = tmp_path_factory.mktemp("rows") / "a.npy"
    np.save(path, rows)
    mapped = np.load(path, mmap_mode="r")
    numbers = data.draw(hnp.arrays(np.int64, st.integers(0, 9), elements=st.integers(0, n - 1)))
    assert np.array_equal(RowFile(mapped).read(numbers), rows[numbers])
    start, step = data.draw(st.integers(0, n - 1)), data.draw(st.integers(1, 3))
    part = ArraySource(mapped[start::step], resident=False)  # a view, which RowFile cannot read
    wanted = numbers[numbers < part.size]
    assert np.array_equal(part.read(wanted)["x"], rows[start::step][wanted].astype(np.float32))
    blocks = list(ArraySource(mapped, resident=False).blocks(7))
    assert np.array_equal(np.concatenate(blocks), rows)


def test_which_arrays_have_a_file(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.ones((5, 4)))
    mapped = np.load(path, mmap_mode="r")
    assert RowFile.can_read(mapped)
    for other in (mapped[1:], mapped.T, mapped[:, :2], np.ones((5, 4)), mapped[0]):
        assert not RowFile.can_read(other)
    for mode in ("c", "r+"):
        assert not RowFile.can_read(np.load(path, mmap_mode=mode))
    np.save(path.with_name("f.npy"), np.asfortranarray(np.arange(20.0).reshape(5, 4)))
    assert not RowFile.can_read(np.load(path.with_name("f.npy"), mmap_mode="r"))
    for bad in (-1, 5):
        with pytest.raises(IndexError, match="0 to 4"):
            RowFile(mapped).read(np.array([0, bad]))
    file = RowFile(mapped)
    with path.open("r+b") as whole:
        whole.truncate(200)
    with pytest.raises(OSError, match="row 4: expected 32 bytes"):
        file.read(np.array([0, 4]))


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 5), st.integers(1, 9))
def test_shards_hold_each_row_once(n, size, count, held):
    """Shards of a source keep its order; shards of a shuffled part are shards of the source."""
    whole = ArraySource(np.arange(float(n))[:, None], resident=False)
    kept = Part(whole, 0, min(held, n), seed=3)
    blocks = [
        [b for i in range(k) for b in s.blocks(size, (i, k))]
        for s in (whole, kept)
        for k in (1, count)
    ]
    assert all(len(block) <= size for part in blocks for block in part)
    one, many, part, parts = (np.concatenate(b).ravel().tolist() for b in blocks)
    assert one == many == list(range(n))
    assert part == parts == sorted(kept.take(np.arange(kept.size))["x"].ravel())


def test_error_of_the_first_bad_row_of_all_shards(monkeypatch):
    rows = np.zeros((10, 2))
    rows[7, 1] = rows[8, 0] = np.nan
    for i, found in ((0, 10), (1, 7)):
        monkeypatch.setattr(processes, "shard", lambda: (i, 2))  # noqa: B023
        sent = []
        monkeypatch.setattr(processes, "gather_arrays", lambda x: sent.append(int(x)) or [10, 7])  # noqa: B023
        with pytest.raises(ValueError, match=r"got nan at row 7, column 1$"):
            check_rows(rows)
        assert sent == [found]


@pytest.mark.faults
def test_memory_is_flat(tmp_path):
    """Random and sequential reads of a file of 200 MiB need a fraction of that memory."""
    code = (
        "import resource, sys, numpy as np\n"
        "from flowjax.data.arrays import ArraySource, open_rows\n"
        "from flowjax.data.shuffle import batch_rows\n"
        "source = ArraySource(open_rows(sys.argv[1]), resident=False)\n"
        "for k in range(50): source.read(batch_rows(k, 512, source.size, seed=0))\n"
        "for block in source.blocks(4096): block.sum()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)\n"
    )
    peaks = []
    for n in (8_000, 800_000):
        path = tmp_path / f"{n}.npy"
        target = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, 64))
        target.flush()
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout))
    assert peaks[1] - peaks[0] < 60, f"{peaks} MiB for 2 and 195 MiB of rows"


def test_release_keeps_arrays_in_memory_and_changes(tmp_path):
    rows = np.ones((4, 4))
    release(rows)
    np.save(tmp_path / "a.npy", rows)
    private = np.load(tmp_path / "a.npy", mmap_mode="c")
    private[0] = 5
    release(private)
    assert private[0, 0] == 5 and rows[0, 0] == 1


def test_errors_of_files(tmp_path):
    with pytest.raises(ValueError, match=r"none\.npy: expected a \.npy, .* or an embedding store"):
        open_rows(tmp_path / "none.npy")
    with pytest.raises(ValueError, match=r"an embedding store, got another folder$"):
        open_rows(tmp_path)
    path = tmp_path / "a.npy"
    np.save(path, np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"a\.npy: .* got: an array of Python objects$"):
        open_rows(path)
    for raw in (b"", b"text", b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False"):
        path.write_bytes(raw)
        with pytest.raises(ValueError, match=r"a\.npy: expected a \.npy array"):
            open_rows(path)
    np.save(path, np.zeros((100, 10)))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"a\.npy: expected a \.npy array"):
        open_rows(path)
